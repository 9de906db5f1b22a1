// Command quartet-timeline records who runs when while a cluster is under load: see package
// timeline. It is no part of the quartet program.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"quartet/client/measure/timeline"
)

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer cancel()

	o := timeline.Options{}
	var picture string
	flag.StringVar(&o.Program, "quartet", "bin/quartet", "the `PROGRAM`")
	flag.StringVar(&o.Consistency, "consistency", "linearizable", "a `MODEL`")
	flag.StringVar(&o.Request, "request", "set", "`TYPE` of requests: set or get")
	flag.StringVar(&o.Driver, "driver", "goroutine", "goroutine or callback: how the load drives package client")
	flag.IntVar(&o.Concurrency, "concurrency", 64, "requests outstanding at once")
	flag.DurationVar(&o.Lasts, "for", 150*time.Millisecond, "how long the kernel records")
	flag.StringVar(&picture, "picture", "", "`FILE` for a picture of some batches, as SVG")
	flag.Parse()

	err := usage(o, flag.NArg())
	if err == nil {
		err = run(ctx, o, picture, os.Stdout)
	}
	switch {
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, "quartet-timeline:", err)
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "quartet-timeline:", err)
		os.Exit(1)
	}
}

var errUsage = errors.New("wrong usage")

// usage refuses what cannot be recorded; quartet bench refuses the rest.
func usage(o timeline.Options, arguments int) error {
	const longest = 2 * time.Second
	isLength := o.Lasts > 0 && o.Lasts <= longest
	switch {
	case arguments > 0:
		return fmt.Errorf("%w: arguments are flags; see --help", errUsage)
	case !isLength:
		return fmt.Errorf("%w: --for %s: more than 0, and %s at most", errUsage, o.Lasts, longest)
	case o.Concurrency < 1:
		return fmt.Errorf("%w: --concurrency %d: at least 1", errUsage, o.Concurrency)
	}
	return nil
}

func run(ctx context.Context, o timeline.Options, picture string, stdout io.Writer) error {
	report, err := timeline.Measure(ctx, o)
	if err != nil {
		return err
	}
	if err := report.WriteText(stdout); err != nil {
		return err
	}
	if picture == "" {
		return nil
	}

	f, err := os.Create(picture)
	if err != nil {
		return err
	}
	return errors.Join(report.DrawBatches(f), f.Close())
}
