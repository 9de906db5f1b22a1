package register

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"quartet/bus"
	"quartet/bus/bustest"
	"quartet/bus/codec"
	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/server"
)

// of returns the record of an epoch with three members.
func of(epoch, nonce uint64) message.Record {
	r := message.Record{
		View:    message.View{Epoch: epoch, Faults: 1},
		Missing: 1, High: 40 + epoch, Start: 900 + epoch, Master: 7, Nonce: nonce,
	}
	for i := 1; i <= 3; i++ {
		r.Configured = append(r.Configured, lamport.Replica(i))
		r.Members = append(r.Members, message.Member{Node: lamport.Replica(i), Incarnation: uint64(i) << 40})
		r.Cut = append(r.Cut, uint64(i)*10)
	}
	return r
}

// embedded starts a server as the master does and connects to its nodes' account.
// Clients have JetStream there, which is the harder case.
func embedded(t *testing.T) (*server.Server, *nats.Conn) {
	t.Helper()
	s, err := server.Start(t.Context(), server.Options{Listen: "127.0.0.1:-1", StoreDir: t.TempDir(), ClientJetStream: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	return s, bustest.Dial(t, bus.DialOptions{URL: s.NodeURL()})
}

func open(t *testing.T, nc *nats.Conn, o Options) *Store {
	t.Helper()
	s, err := Open(t.Context(), nc, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func read(t *testing.T, s *Store) (*message.Record, uint64) {
	t.Helper()
	rec, revision, err := s.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return rec, revision
}

func propose(t *testing.T, s *Store, rec message.Record, revision uint64) Fate {
	t.Helper()
	fate, _, err := s.Propose(t.Context(), rec, revision)
	if err != nil {
		t.Fatal(fate, err)
	}
	return fate
}

func TestRecordIsReplacedByCompareAndSet(t *testing.T) {
	srv, nc := embedded(t)
	s := open(t, nc, Options{Sync: srv.SyncNodes})
	if rec, revision := read(t, s); rec != nil || revision != 0 {
		t.Fatalf("an empty bucket holds %+v at %d", rec, revision)
	}
	if o := propose(t, s, of(1, 11), 0); o != Won {
		t.Fatalf("the first record %v", o)
	}
	if o := propose(t, s, of(1, 12), 0); o != Lost {
		t.Errorf("a second first record %v", o)
	}
	rec, revision := read(t, s)
	if diff := cmp.Diff(of(1, 11), *rec); diff != "" {
		t.Errorf("what was read differs: %s", diff)
	}
	if o := propose(t, s, of(2, 21), revision); o != Won {
		t.Errorf("the next record %v", o)
	}
	for _, wrong := range []uint64{0, revision, revision + 2} {
		if o := propose(t, s, of(3, 31), wrong); o != Lost {
			t.Errorf("with revision %d: %v", wrong, o)
		}
	}
	again := open(t, bustest.Dial(t, bus.DialOptions{URL: srv.NodeURL()}), Options{})
	if rec, _ := read(t, again); rec == nil || rec.Nonce != 21 {
		t.Errorf("another master reads %+v", rec)
	}
}

// A proposal that has won knows the revision for the next one. To try whether the bucket takes
// a write leaves the record and its revision alone, and does not hide that it was lost.
func TestTry(t *testing.T) {
	srv, nc := embedded(t)
	s := open(t, nc, Options{Sync: srv.SyncNodes})
	_, revision, err := s.Propose(t.Context(), of(1, 11), 0)
	if err != nil {
		t.Fatal(err)
	}

	if err := s.Try(t.Context()); err != nil {
		t.Fatal(err)
	}
	if rec, at := read(t, s); rec == nil || rec.Nonce != 11 || at != revision {
		t.Errorf("after a try %+v stands at %d, and was proposed at %d", rec, at, revision)
	}

	_, revision, err = s.Propose(t.Context(), of(2, 21), revision)
	if err != nil || revision == 0 {
		t.Fatal(revision, err)
	}

	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), streamPrefix+s.Bucket())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(t.Context(), jetstream.WithPurgeSubject(s.subject)); err != nil {
		t.Fatal(err)
	}

	if _, _, err := s.Read(t.Context()); !errors.Is(err, ErrDamaged) {
		t.Errorf("a bucket that has lost its record, and was tried: %v", err)
	}
	if o, _, err := s.Propose(t.Context(), of(2, 21), 0); o != Won {
		t.Errorf("the record put back %v, %v", o, err)
	}
}

// The nats command and any program with nats.go see the bucket as one of their own.
func TestBucketIsAnOrdinaryOne(t *testing.T) {
	_, nc := embedded(t)
	s := open(t, nc, Options{})
	for epoch := uint64(1); epoch <= history+5; epoch++ {
		if o := propose(t, s, of(epoch, epoch), epoch-1); o != Won {
			t.Fatalf("epoch %d %v", epoch, o)
		}
	}

	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	kv, err := js.KeyValue(t.Context(), "quartet_views")
	if err != nil {
		t.Fatal(err)
	}

	entry, err := kv.Get(t.Context(), Key)
	if err != nil {
		t.Fatal(err)
	}
	rec, err := codec.NewDecoder().DecodeRecord(entry.Value())
	if err != nil || rec.Epoch != history+5 || entry.Revision() != history+5 {
		t.Errorf("got %+v at %d, %v", rec, entry.Revision(), err)
	}

	kept, err := kv.History(t.Context(), Key)
	if err != nil || len(kept) != history {
		t.Errorf("%d records are kept, %v", len(kept), err)
	}

	stream, err := js.Stream(t.Context(), "KV_quartet_views")
	if err != nil {
		t.Fatal(err)
	}
	if c := stream.CachedInfo().Config; c.AllowDirect || c.MirrorDirect || c.Storage != jetstream.FileStorage || c.Replicas != 1 {
		t.Errorf("the stream is %+v", c)
	}
}

func TestDirectGetsAreTurnedOffAgain(t *testing.T) {
	_, nc := embedded(t)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: Bucket("quartet")}); err != nil {
		t.Fatal(err)
	}
	s := open(t, nc, Options{})
	if c := (*s.stream.Load()).CachedInfo().Config; c.AllowDirect {
		t.Error("direct gets are still on")
	}
	if o := propose(t, s, of(1, 1), 0); o != Won {
		t.Error(o)
	}
}

func TestUnfitBuckets(t *testing.T) {
	_, nc := embedded(t)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{
		Bucket: Bucket("memory"), Storage: jetstream.MemoryStorage,
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: "KV_" + Bucket("other"), Subjects: []string{"other"},
	}); err != nil {
		t.Fatal(err)
	}
	for prefix, why := range map[string]string{"memory": "in memory only", "other": "from elsewhere"} {
		if _, err := Open(t.Context(), nc, Options{Prefix: prefix}); !errors.Is(err, ErrBucket) || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v", prefix, err)
		}
	}
	if _, err := Open(t.Context(), nc, Options{Replicas: 3}); !errors.Is(err, ErrBucket) {
		t.Errorf("three replicas on one server: %v", err)
	}
	for _, o := range []Options{{Replicas: 2}, {Replicas: -1}, {Prefix: "a b"}} {
		if _, err := Open(t.Context(), nc, o); !errors.Is(err, ErrOptions) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

func TestPrefixesDoNotShareABucket(t *testing.T) {
	seen := map[string]string{}
	for _, prefix := range []string{
		"quartet", "a.b", "a_b", "a-b", "ab", "a_2Eb", "a/b", "ä", "a_views", strings.Repeat("ü", bus.MaxPrefix/2),
	} {
		name := Bucket(prefix)
		if other, taken := seen[name]; taken {
			t.Errorf("%q and %q share %s", prefix, other, name)
		}
		seen[name] = prefix
	}
	_, nc := embedded(t)
	for prefix := range map[string]bool{"a.b": true, "a_b": true, strings.Repeat("ü", bus.MaxPrefix/2): true} {
		s := open(t, nc, Options{Prefix: prefix})
		if rec, _ := read(t, s); rec != nil {
			t.Errorf("%q finds another's record", prefix)
		}
		if o := propose(t, s, of(1, 1), 0); o != Won {
			t.Errorf("%q: %v", prefix, o)
		}
	}
	if got := Bucket("quartet"); got != "quartet_views" {
		t.Errorf("bucket %s", got)
	}
}

// What cannot be read is never taken for nothing: that would begin a second history.
func TestDamageIsSaid(t *testing.T) {
	for name, spoil := range map[string]func(context.Context, *nats.Conn, jetstream.KeyValue) error{
		"other bytes": func(ctx context.Context, _ *nats.Conn, kv jetstream.KeyValue) error {
			_, err := kv.Put(ctx, Key, []byte("no record"))
			return err
		},
		"nothing": func(ctx context.Context, _ *nats.Conn, kv jetstream.KeyValue) error {
			_, err := kv.Put(ctx, Key, nil)
			return err
		},
		"a record cut short": func(ctx context.Context, _ *nats.Conn, kv jetstream.KeyValue) error {
			good := of(2, 2)
			b, err := codec.NewEncoder().EncodeRecord(&good)
			if err != nil {
				return err
			}
			_, err = kv.Put(ctx, Key, b[:len(b)-1])
			return err
		},
		"deleted": func(ctx context.Context, _ *nats.Conn, kv jetstream.KeyValue) error { return kv.Delete(ctx, Key) },
		"purged":  func(ctx context.Context, _ *nats.Conn, kv jetstream.KeyValue) error { return kv.Purge(ctx, Key) },
		"emptied": func(ctx context.Context, nc *nats.Conn, _ jetstream.KeyValue) error {
			js, err := jetstream.New(nc)
			if err != nil {
				return err
			}
			stream, err := js.Stream(ctx, "KV_quartet_views")
			if err != nil {
				return err
			}
			return stream.Purge(ctx)
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, nc := embedded(t)
			s := open(t, nc, Options{})
			if o := propose(t, s, of(1, 1), 0); o != Won {
				t.Fatal(o)
			}

			js, err := jetstream.New(nc)
			if err != nil {
				t.Fatal(err)
			}
			kv, err := js.KeyValue(t.Context(), s.Bucket())
			if err != nil {
				t.Fatal(err)
			}

			if err := spoil(t.Context(), nc, kv); err != nil {
				t.Fatal(err)
			}

			rec, _, err := s.Read(t.Context())
			if !errors.Is(err, ErrDamaged) || rec != nil || strings.Contains(err.Error(), "backup") {
				t.Errorf("read %+v, %v", rec, err)
			}
		})
	}
}

// A record that a newer version has written is whole: it is not called damaged, what would let a
// master write another over it, and who reads that is told what to start.
func TestARecordOfANewerVersionIsNotDamaged(t *testing.T) {
	_, nc := embedded(t)
	s := open(t, nc, Options{})
	if o := propose(t, s, of(1, 1), 0); o != Won {
		t.Fatal(o)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	kv, err := js.KeyValue(t.Context(), s.Bucket())
	if err != nil {
		t.Fatal(err)
	}
	kept, err := kv.Get(t.Context(), Key)
	if err != nil {
		t.Fatal(err)
	}
	newer := slices.Clone(kept.Value())
	newer[1] = 100 // the version
	if _, err := kv.Put(t.Context(), Key, newer); err != nil {
		t.Fatal(err)
	}
	rec, _, err := s.Read(t.Context())
	if !errors.Is(err, ErrNewer) || errors.Is(err, ErrDamaged) || rec != nil ||
		!strings.Contains(err.Error(), "version 100") || strings.Contains(err.Error(), "backup") {
		t.Errorf("read %+v, %v", rec, err)
	}
}

func TestUnsoundRecordsAreNotSent(t *testing.T) {
	_, nc := embedded(t)
	s := open(t, nc, Options{})
	if o, _, err := s.Propose(t.Context(), message.Record{}, 0); o != Lost || !errors.Is(err, ErrUnsound) {
		t.Errorf("%v %v", o, err)
	}
	if rec, _ := read(t, s); rec != nil {
		t.Errorf("it was sent: %+v", rec)
	}
}

// A proposal is won once it is on disk, and a disk that failed is not believed again.
func TestWonMeansSynced(t *testing.T) {
	_, nc := embedded(t)
	var synced atomic.Int32
	var fault error
	s := open(t, nc, Options{Sync: func() error { synced.Add(1); return fault }})
	if o := propose(t, s, of(1, 1), 0); o != Won || synced.Load() != 1 {
		t.Errorf("%v after %d syncs", o, synced.Load())
	}
	if o := propose(t, s, of(1, 2), 0); o != Lost || synced.Load() != 1 {
		t.Errorf("%v after %d syncs", o, synced.Load())
	}
	if _, revision := read(t, s); revision != 1 || synced.Load() != 2 {
		t.Errorf("read revision %d after %d syncs", revision, synced.Load())
	}
	fault = errors.New("input/output error")
	if o, _, err := s.Propose(t.Context(), of(2, 2), 1); o != Unknown || !errors.Is(err, ErrDisk) || !errors.Is(err, fault) {
		t.Errorf("%v %v", o, err)
	}
	fault = nil
	if _, _, err := s.Read(t.Context()); !errors.Is(err, ErrDisk) {
		t.Errorf("read after a failed sync: %v", err)
	}
	if o, _, err := s.Propose(t.Context(), of(3, 3), 2); o != Unknown || !errors.Is(err, ErrDisk) {
		t.Errorf("%v %v", o, err)
	}
	if rec, _ := read(t, open(t, nc, Options{})); rec.Epoch != 2 {
		t.Errorf("a store that is broken has written epoch %d", rec.Epoch)
	}
}

// Clients live in another account: its bucket of the same name is another bucket.
func TestClientsCannotWriteTheRecord(t *testing.T) {
	srv, nc := embedded(t)
	s := open(t, nc, Options{})
	if o := propose(t, s, of(1, 1), 0); o != Won {
		t.Fatal(o)
	}

	client := bustest.Dial(t, bus.DialOptions{URL: srv.ClientURL()})
	if err := client.Publish(s.subject, []byte("mine")); err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(client)
	if err != nil {
		t.Fatal(err)
	}

	if _, err := js.KeyValue(t.Context(), s.Bucket()); !errors.Is(err, jetstream.ErrBucketNotFound) {
		t.Errorf("a client finds the bucket: %v", err)
	}
	kv, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: s.Bucket()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Put(t.Context(), Key, []byte("mine")); err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteKeyValue(t.Context(), s.Bucket()); err != nil {
		t.Fatal(err)
	}

	if rec, revision := read(t, s); revision != 1 || !reflect.DeepEqual(*rec, of(1, 1)) {
		t.Errorf("the record is now %+v at %d", rec, revision)
	}
}

// race lets proposers race for each epoch and checks that at most one wins, and that all
// of them then read the same: the winner's. An epoch without a winner, since no server
// took a proposal or none said so, is raced for again.
func race(t *testing.T, stores []*Store, epochs int) {
	t.Helper()
	revision, wins := uint64(0), 0
	deadline := time.Now().Add(patience)

	for epoch := uint64(1); epoch <= uint64(epochs); {
		fates := make([]Fate, len(stores))
		var begin, done sync.WaitGroup
		begin.Add(1)

		for i, s := range stores {
			done.Go(func() {
				begin.Wait()
				var err error
				fates[i], _, err = s.Propose(t.Context(), of(epoch, uint64(i)+1), revision)
				told := err == nil || errors.Is(err, ErrUnavailable)
				if (err != nil) != (fates[i] == Unknown) || !told {
					t.Errorf("epoch %d: proposer %d: %v %v", epoch, i, fates[i], err)
				}
			})
		}
		begin.Done()
		done.Wait()

		winner := uint64(0)
		for i, o := range fates {
			if o == Won && winner != 0 {
				t.Fatalf("epoch %d has two winners", epoch)
			}
			if o == Won {
				winner = uint64(i) + 1
				wins++
			}
		}

		nonce, at := readAll(t, stores, epoch)
		if winner != 0 && nonce != winner {
			t.Fatalf("epoch %d was won by %d, and %d stands there: %v", epoch, winner, nonce, fates)
		}
		if nonce != 0 && fates[nonce-1] == Lost {
			t.Fatalf("%d lost epoch %d, and stands there", nonce, epoch)
		}

		if nonce != 0 {
			revision = at
			epoch++
		} else if time.Now().After(deadline) {
			t.Fatalf("nobody wins epoch %d: %v", epoch, fates)
		}
	}
	if wins < epochs*9/10 { // and not by chance of an outcome that nobody knew
		t.Errorf("only %d of %d epochs were won", wins, epochs)
	}
}

// readAll returns the nonce of the epoch's record and its revision, 0 if there is none,
// which all stores must agree on.
func readAll(t *testing.T, stores []*Store, epoch uint64) (nonce, revision uint64) {
	t.Helper()
	for i, s := range stores {
		rec, at := read(t, s)
		n := uint64(0)
		if rec != nil && rec.Epoch == epoch {
			n = rec.Nonce
		}
		if i > 0 && n != nonce {
			t.Fatalf("epoch %d: one reads nonce %d, another %d", epoch, nonce, n)
		}
		nonce, revision = n, at
	}
	return nonce, revision
}

func TestRaceHasOneWinner(t *testing.T) {
	srv, nc := embedded(t)
	stores := []*Store{open(t, nc, Options{})}
	for range 2 {
		stores = append(stores, open(t, bustest.Dial(t, bus.DialOptions{URL: srv.NodeURL()}), Options{}))
	}
	race(t, stores, 50)
}

// Masters that start together make one bucket.
func TestOpenRaces(t *testing.T) {
	srv, _ := embedded(t)
	var done sync.WaitGroup
	for range 8 {
		nc := bustest.Dial(t, bus.DialOptions{URL: srv.NodeURL()})
		done.Go(func() {
			if _, err := Open(t.Context(), nc, Options{}); err != nil {
				t.Error(err)
			}
		})
	}
	done.Wait()
}

const patience = 20 * time.Second
