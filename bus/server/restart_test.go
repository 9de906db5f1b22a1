package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"quartet/bus"
	"quartet/bus/bustest"
	"quartet/bus/testkit"
)

// smallDisk is a folder on a disk of 16 MiB; fill leaves no byte of it, room gives all back.
func smallDisk(t *testing.T) (dir string, fill, room func()) {
	t.Helper()
	dir = t.TempDir()
	testkit.MountDisk(t, dir, 16<<20)
	others := filepath.Join(dir, "others")
	fill = func() { testkit.FillDisk(t, others, 0) }
	room = func() {
		if err := os.Remove(others); err != nil {
			t.Fatal(err)
		}
	}
	return dir, fill, room
}

// A bucket that met a full disk takes nothing, with room again neither, until JetStream is
// restarted; then what was acknowledged is there, and the connection is the same.
func TestRestartJetStreamAfterAFullDisk(t *testing.T) {
	dir, fill, room := smallDisk(t)
	s := start(t, Options{StoreDir: dir})
	nc := bustest.Dial(t, bus.DialOptions{URL: s.NodeURL()})
	kv := newBucket(t, nc, "views")

	put := func(key string, size int) error {
		ctx, cancel := context.WithTimeout(t.Context(), wait)
		defer cancel()
		_, err := kv.Put(ctx, key, make([]byte, size))
		return err
	}
	silent := func(key string) bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := kv.Put(ctx, key, make([]byte, 10_000))
		return err != nil
	}

	for i := range 5 {
		if err := put(fmt.Sprint("before", i), 1000); err != nil {
			t.Fatal(err)
		}
	}

	fill()
	if !silent("full") {
		t.Fatal("the full disk takes a write")
	}
	room()
	if !silent("after") {
		t.Fatal("the store has healed by itself: RestartJetStream is not needed any more")
	}
	if err := s.RestartJetStream(); err != nil {
		t.Fatal(err)
	}

	for i := range 100 {
		if err := put("after", 10_000+i); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 5 {
		if e, err := kv.Get(t.Context(), fmt.Sprint("before", i)); err != nil || len(e.Value()) != 1000 {
			t.Errorf("what was acknowledged: %v", err)
		}
	}

	if nc.Stats().Reconnects != 0 || nc.Status() != nats.CONNECTED {
		t.Error("the connection was cut")
	}
}

// A restart that finds the disk full is an error or not, but the one that finds room succeeds.
func TestRestartJetStreamOnAFullDisk(t *testing.T) {
	dir, fill, room := smallDisk(t)
	s := start(t, Options{StoreDir: dir})
	kv := newBucket(t, bustest.Dial(t, bus.DialOptions{URL: s.NodeURL()}), "views")
	if _, err := kv.Put(t.Context(), "view", []byte("old")); err != nil {
		t.Fatal(err)
	}
	fill()
	if err := s.RestartJetStream(); err != nil && !errors.Is(err, ErrRestart) {
		t.Fatal(err)
	}
	room()
	if err := s.RestartJetStream(); err != nil {
		t.Fatal(err)
	}
	e, err := kv.Get(t.Context(), "view")
	if err != nil || string(e.Value()) != "old" {
		t.Fatalf("what was acknowledged: %v", err)
	}
	if _, err := kv.Put(t.Context(), "view", []byte("new")); err != nil {
		t.Fatal(err)
	}
}

// A store that cannot be opened is an error, and the next restart is not told that JetStream
// is enabled already.
func TestRestartJetStreamCanBeTriedAgain(t *testing.T) {
	dir := t.TempDir()
	s := start(t, Options{StoreDir: dir})
	kv := newBucket(t, bustest.Dial(t, bus.DialOptions{URL: s.NodeURL()}), "views")
	if _, err := kv.Put(t.Context(), "view", []byte("old")); err != nil {
		t.Fatal(err)
	}
	store, away := filepath.Join(dir, "jetstream"), filepath.Join(dir, "away")
	if err := errors.Join(os.Rename(store, away), os.WriteFile(store, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := s.RestartJetStream(); !errors.Is(err, ErrRestart) {
		t.Fatalf("with a file in place of the store: %v", err)
	}
	if _, err := kv.Put(t.Context(), "view", []byte("x")); err == nil {
		t.Fatal("there is no store")
	}
	if err := errors.Join(os.Remove(store), os.Rename(away, store)); err != nil {
		t.Fatal(err)
	}
	if err := s.RestartJetStream(); err != nil {
		t.Fatal(err)
	}
	if e, err := kv.Get(t.Context(), "view"); err != nil || string(e.Value()) != "old" {
		t.Fatal(err)
	}
}

// Clients that are given JetStream may fill half of the disk with it, and no more: the nodes can
// still write.
func TestClientsStreamsLeaveRoom(t *testing.T) {
	dir, _, _ := smallDisk(t)
	s := start(t, Options{StoreDir: filepath.Join(dir, "jetstream"), ClientJetStream: true})
	ctx := t.Context()
	clients, err := bucket(ctx, bustest.Dial(t, bus.DialOptions{URL: s.ClientURL()}))
	if err != nil {
		t.Fatal(err)
	}
	value, stored := make([]byte, 64<<10), 0
	for err == nil && stored < 16<<20 {
		if _, err = clients.Put(ctx, fmt.Sprint("key", stored), value); err == nil {
			stored += len(value)
		}
	}
	var refused *jetstream.APIError
	if !errors.As(err, &refused) || stored < 6<<20 || stored > 8<<20 {
		t.Errorf("after %d KiB: %v", stored>>10, err)
	}

	user, password := s.NodeCredentials()
	nodes, err := bucket(ctx, bustest.Dial(t, bus.DialOptions{URL: s.ClientURL(), User: user, Password: password}))
	if err == nil {
		_, err = nodes.Put(ctx, "record", make([]byte, 4096))
	}
	if err != nil {
		t.Errorf("the nodes' bucket: %v", err)
	}
}
