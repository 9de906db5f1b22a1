package server

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"quartet/bus"
	"quartet/bus/bustest"
)

func newBucket(t *testing.T, nc *nats.Conn, name string) jetstream.KeyValue {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	kv, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: name, History: 3})
	if err != nil {
		t.Fatal(err)
	}
	return kv
}

// Syncing goes on beside writing, which replaces files all the time.
func TestSyncNodesWhileTheyWrite(t *testing.T) {
	for name, o := range map[string]Options{"temporary": {}, "kept": {StoreDir: t.TempDir()}} {
		t.Run(name, func(t *testing.T) {
			s := start(t, o)
			kv := newBucket(t, bustest.Dial(t, bus.DialOptions{URL: s.NodeURL()}), "views")

			stop, stopped := make(chan struct{}), make(chan error, 1)
			go func() {
				for value := make([]byte, 100_000); ; {
					select {
					case <-stop:
						stopped <- nil
						return
					default:
					}
					if _, err := kv.Put(t.Context(), "view", value); err != nil {
						stopped <- err
						return
					}
				}
			}()

			for range 20 {
				if err := s.SyncNodes(); err != nil {
					t.Fatal(err)
				}
			}
			close(stop)
			if err := <-stopped; err != nil {
				t.Fatal(err)
			}
		})
	}
}

// It really looks at the nodes' streams: when they are not where it looks, it says so.
func TestSyncNodesLooksAtTheirStreams(t *testing.T) {
	dir := t.TempDir()
	s := start(t, Options{StoreDir: dir})
	newBucket(t, bustest.Dial(t, bus.DialOptions{URL: s.NodeURL()}), "views")
	streams := filepath.Join(dir, "jetstream", AccountNodes)
	blocks, err := filepath.Glob(filepath.Join(streams, "streams", "KV_views", "msgs", "*.blk"))
	if err != nil || len(blocks) == 0 {
		t.Fatalf("the bucket's blocks are elsewhere: %v %v", blocks, err)
	}
	if err := s.SyncNodes(); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(streams, streams+".away"); err != nil {
		t.Fatal(err)
	}
	if err := s.SyncNodes(); !errors.Is(err, ErrSync) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
	if err := os.Rename(streams+".away", streams); err != nil {
		t.Fatal(err)
	}
}
