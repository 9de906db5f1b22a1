package inprocess_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"quartet/bus/host/exit"
	"quartet/bus/server"
	"quartet/master/inprocess"
	"quartet/master/masternode"
	"quartet/replica/disk"
)

func options(t *testing.T) inprocess.Options {
	t.Helper()
	return inprocess.Options{RunDir: filepath.Join(t.TempDir(), "run"), LogDir: t.TempDir()}
}

func TestStartThatCannotBe(t *testing.T) {
	if _, err := inprocess.Start(t.Context(), inprocess.Options{LogDir: t.TempDir()}); !errors.Is(err, masternode.ErrOptions) {
		t.Errorf("without a directory: %v", err)
	}
	o := options(t)
	o.Replicas = masternode.MaxReplicas + 1
	if _, err := inprocess.Start(t.Context(), o); !errors.Is(err, masternode.ErrOptions) {
		t.Errorf("too many replicas: %v", err)
	}
	s, err := server.Start(t.Context(), server.Options{Listen: "127.0.0.1:-1"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Shutdown()
	o = options(t)
	o.Listen = strings.TrimPrefix(s.ClientURL(), "nats://")
	if _, err := inprocess.Start(t.Context(), o); !errors.Is(err, server.ErrPortTaken) {
		t.Errorf("a taken port: %v", err)
	}
	o = options(t)
	broken := errors.New("broken")
	o.Around = func(masternode.Runner) masternode.Runner {
		return func(context.Context, masternode.Replica) error { return broken }
	}
	if _, err := inprocess.Start(t.Context(), o); !errors.Is(err, broken) {
		t.Errorf("a replica that ends during the start: %v", err)
	}
}

// A start that is given up leaves nothing that runs, and no run files.
func TestStartIsGivenUp(t *testing.T) {
	o := options(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o.Around = func(masternode.Runner) masternode.Runner {
		return func(ctx context.Context, _ masternode.Replica) error { // says nothing, so that the cluster does not get ready
			cancel()
			<-ctx.Done()
			return nil
		}
	}

	if _, err := inprocess.Start(ctx, o); !errors.Is(err, context.Canceled) || !errors.Is(err, masternode.ErrStopped) {
		t.Errorf("error %v", err)
	}
	if _, err := os.Stat(o.RunDir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its run files are left: %v", err)
	}

	// What it held is free: the next one starts there.
	o.Around = nil
	c, err := inprocess.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}

	select {
	case <-c.Done():
		t.Error("it has ended by itself")
	default:
	}
	if err := c.Stop(); err != nil {
		t.Error(err)
	}
	<-c.Done()
}

// A replica whose data are damaged is told from others, and does not serve them.
func TestDamageIsTold(t *testing.T) {
	o := options(t)
	o.Dir, o.RunDir = t.TempDir(), ""
	c, err := inprocess.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}

	manifests, err := filepath.Glob(filepath.Join(o.Dir, "replicas", "r1", "*", "MANIFEST-*"))
	if err != nil || len(manifests) == 0 {
		t.Fatalf("no manifest of the store: %v", err)
	}
	for _, name := range manifests {
		if err := os.WriteFile(name, []byte("not a manifest"), 0o600); err != nil {
			t.Fatal(err)
		}
	}

	ends := make(chan error, 1)
	o.Around = func(run masternode.Runner) masternode.Runner {
		return func(ctx context.Context, r masternode.Replica) error {
			err := run(ctx, r)
			if r.ID.String() == "r1" {
				select {
				case ends <- err:
				default: // it is started again
				}
			}
			return err
		}
	}

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := inprocess.Start(ctx, o)
		ended <- err
	}()

	select {
	case err := <-ends:
		if !errors.Is(err, disk.ErrDamaged) || exit.Status(err) != exit.StatusDamaged {
			t.Errorf("it has ended with %v", err)
		}
	case err := <-ended:
		t.Fatalf("the cluster: %v", err)
	}
	cancel() // rather than wait until the others go on without it
	if err := <-ended; !errors.Is(err, masternode.ErrStopped) {
		t.Errorf("the cluster: %v", err)
	}
}
