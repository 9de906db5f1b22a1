// Command quartet-stale shows whether clients of a NATS key-value bucket are told stale values: it
// makes a bucket, has clients put and get for a while, and judges what they saw. It is no part of
// the quartet program.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"quartet/bus/model"
	"quartet/client/judge/history"
	"quartet/client/judge/kvrecord"
)

// settings are what the command line says.
type settings struct {
	servers, prefix         string
	clients, keys, replicas int
	lasts                   time.Duration
}

func main() {
	var s settings
	flag.StringVar(&s.servers, "servers", "nats://127.0.0.1:4222", "`URLS` of NATS servers, joined by commas: clients are spread over them")
	flag.StringVar(&s.prefix, "prefix", "", "of the API: quartet.kv for quartet; none for JetStream")
	flag.IntVar(&s.replicas, "replicas", 3, "of the bucket")
	flag.IntVar(&s.clients, "clients", 6, "each with a connection, and one operation at a time")
	flag.IntVar(&s.keys, "keys", 4, "that they share")
	flag.DurationVar(&s.lasts, "for", 5*time.Second, "how long")
	flag.Parse()

	stale, err := run(context.Background(), s, os.Stdout)
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "quartet-stale:", err)
		os.Exit(2)
	case stale > 0:
		os.Exit(1)
	}
}

// run returns how many gets were stale.
func run(ctx context.Context, s settings, out io.Writer) (stale int, err error) {
	urls := strings.Split(s.servers, ",")
	nc, err := nats.Connect(urls[0])
	if err != nil {
		return 0, fmt.Errorf("%s: %w", urls[0], err)
	}
	defer nc.Close()
	js, err := kvrecord.Stream(nc, s.prefix)
	if err != nil {
		return 0, err
	}
	bucket := fmt.Sprintf("quartet-stale-%d", os.Getpid())
	_, err = js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: bucket, Replicas: s.replicas})
	if err != nil {
		return 0, fmt.Errorf("make the bucket %s: %w", bucket, err)
	}
	defer func() { err = errors.Join(err, js.DeleteKeyValue(ctx, bucket)) }()

	load, err := kvrecord.Start(ctx, kvrecord.Options{
		URLs: urls, Prefix: s.prefix, Bucket: bucket, Model: model.Linearizable,
		Sessions: s.clients, Keys: s.keys, Gets: 50, Timeout: 10 * time.Second, Seed: uint64(time.Now().UnixNano()),
	})
	if err != nil {
		return 0, err
	}
	time.Sleep(s.lasts) // what is measured
	ops := load.Stop()

	gets, stale := kvrecord.Stale(ops)
	if gets == 0 {
		return 0, errors.New("no get was answered")
	}
	fmt.Fprintf(out, "%d operations, %d gets, %d of them stale: %.1f of 1,000\n", len(ops), gets, stale, 1000*float64(stale)/float64(gets))
	fmt.Fprintln(out, history.Linearizable(ops, history.Budget{}))
	return stale, nil
}
