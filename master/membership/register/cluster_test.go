package register

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	nats "github.com/nats-io/nats-server/v2/server"
	client "github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/bustest"
	"quartet/bus/testkit"
)

// atOnce is how many tests run at the same time at least: they wait for servers to elect a leader,
// and for what servers with damaged files do not answer.
const atOnce = 4

func TestMain(m *testing.M) {
	if err := testkit.AtOnce(atOnce); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// cluster is three servers of somebody else's, as "quartet master --nats" uses them.
type cluster struct {
	options []*nats.Options
	servers []*nats.Server
}

func startCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{servers: make([]*nats.Server, 3)}
	ports := make([]int, 6)
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ports[i] = l.Addr().(*net.TCPAddr).Port
		defer l.Close() // all at once, so that they differ
	}
	var routes []*url.URL
	for _, port := range ports[3:] {
		routes = append(routes, &url.URL{Scheme: "nats", Host: fmt.Sprintf("127.0.0.1:%d", port)})
	}
	for i := range 3 {
		c.options = append(c.options, &nats.Options{
			ServerName: fmt.Sprintf("s%d", i+1), Host: "127.0.0.1", Port: ports[i], NoSigs: true, NoLog: true,
			JetStream: true, StoreDir: t.TempDir(), DisableJetStreamBanner: true,
			Cluster: nats.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: ports[i+3]}, Routes: routes,
		})
	}
	t.Cleanup(func() {
		for i := range c.servers {
			c.stop(i)
		}
	})
	return c
}

func (c *cluster) start(t *testing.T, i int) {
	t.Helper()
	s, err := nats.NewServer(c.options[i].Clone())
	if err != nil {
		t.Fatal(err)
	}
	c.servers[i] = s
	s.Start()
	if !s.ReadyForConnections(patience) {
		t.Fatalf("server %d does not start", i)
	}
}

func (c *cluster) stop(i int) {
	if s := c.servers[i]; s != nil {
		s.Shutdown()
		s.WaitForShutdown()
	}
}

func (c *cluster) url(i int) string { return fmt.Sprintf("nats://127.0.0.1:%d", c.options[i].Port) }

// begin starts all servers and opens the bucket through each.
func begin(t *testing.T) (*cluster, []*Store) {
	t.Helper()
	c := startCluster(t)
	for i := range c.servers {
		c.start(t, i)
	}
	var stores []*Store
	for i := range c.servers {
		nc := bustest.Dial(t, bus.DialOptions{URL: c.url(i)})
		testkit.Await(t, "the bucket opens", func() bool {
			s, err := Open(t.Context(), nc, Options{})
			if err == nil {
				stores = append(stores, s)
			} else if !errors.Is(err, ErrUnavailable) {
				t.Fatal(err)
			}
			return err == nil
		})
	}
	if got := (*stores[0].stream.Load()).CachedInfo().Config.Replicas; got != 3 {
		t.Fatalf("the bucket has %d replicas", got)
	}
	return c, stores
}

// stepDown makes another server the leader of the bucket's stream.
func stepDown(t *testing.T, s *Store) {
	t.Helper()
	before := leader(t, s)
	m, err := s.js.Conn().RequestWithContext(t.Context(), "$JS.API.STREAM.LEADER.STEPDOWN.KV_"+s.Bucket(), nil)
	if err != nil {
		t.Fatal(err)
	}
	testkit.Await(t, "a new leader; "+string(m.Data), func() bool { now := leader(t, s); return now != "" && now != before })
}

func leader(t *testing.T, s *Store) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	stream, err := s.js.Stream(ctx, "KV_"+s.Bucket())
	if err != nil || stream.CachedInfo().Cluster == nil {
		return ""
	}
	return stream.CachedInfo().Cluster.Leader
}

// On three servers: of proposers that race through different servers one wins, and then
// everybody reads its record, through every server, however the leader changes.
func TestClusterReadsWhatWon(t *testing.T) {
	t.Parallel()
	_, stores := begin(t)
	race(t, stores, 30)
	_, revision := read(t, stores[0])
	for epoch := uint64(31); epoch < 37; epoch++ {
		decide(t, stores[epoch%3], epoch, revision)
		stepDown(t, stores[0])
		for i, s := range stores {
			testkit.Await(t, "a read through every server", func() bool {
				rec, at, err := s.Read(t.Context())
				if err != nil { // while the leader changes
					return false
				}
				if rec.Epoch != epoch {
					t.Fatalf("epoch %d was won; server %d says %d at %d", epoch, i+1, rec.Epoch, at)
				}
				revision = at
				return true
			})
		}
	}
}

// decide proposes until the epoch has a record, as a master does.
func decide(t *testing.T, s *Store, epoch, revision uint64) {
	t.Helper()
	nonce := epoch << 32
	testkit.Await(t, "an epoch is decided", func() bool {
		nonce++
		o, _, err := s.Propose(t.Context(), of(epoch, nonce), revision)
		rec, at, rerr := s.Read(t.Context())
		won := o == Won && rerr == nil
		switch {
		case won && rec.Nonce != nonce, won && at <= revision:
			t.Fatalf("epoch %d was won with nonce %d; %d is read at %d", epoch, nonce, rec.Nonce, at)
		}
		if o == Unknown && !errors.Is(err, ErrUnavailable) {
			t.Fatal(err)
		}
		stands := rerr == nil && rec.Epoch == epoch
		return o == Won || stands
	})
}

// Two of three servers stop: no proposal has an outcome. When they are back the record is
// one or the other, the same for all, and the next proposal finds out which.
func TestOutcomeIsUnknownWithoutAMajority(t *testing.T) {
	t.Parallel()
	c, stores := begin(t)
	if o := propose(t, stores[0], of(1, 1), 0); o != Won {
		t.Fatal(o)
	}

	_, revision := read(t, stores[0])
	c.stop(1)
	c.stop(2)

	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if o, _, err := stores[0].Propose(ctx, of(2, 2), revision); o != Unknown || !errors.Is(err, ErrUnavailable) {
		t.Fatalf("without a majority: %v %v", o, err)
	}

	again, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if o, _, err := stores[0].Propose(again, of(2, 3), revision); o == Won { // Lost, where a leader still has the first one before it
		t.Fatalf("without a majority: %v %v", o, err)
	}

	c.start(t, 1)
	c.start(t, 2)
	decide(t, stores[0], 2, revision)

	seen := map[uint64]bool{}
	for _, s := range stores {
		testkit.Await(t, "a read", func() bool {
			rec, _, err := s.Read(t.Context())
			if err == nil {
				seen[rec.Nonce] = true
				if rec.Epoch != 2 {
					t.Fatalf("the record is %+v", rec)
				}
			}
			return err == nil
		})
	}

	if len(seen) != 1 {
		t.Errorf("servers disagree: %v", seen)
	}
}

// gate is a road to a server that can swallow either direction.
type gate struct {
	listener net.Listener
	swallow  [2]atomic.Bool // to the server, from the server
}

const (
	toServer   = 0
	fromServer = 1
)

func openGate(t *testing.T, target string) *gate {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{listener: l}
	var done sync.WaitGroup
	t.Cleanup(func() { l.Close(); done.Wait() })
	done.Go(func() {
		for {
			a, err := l.Accept()
			if err != nil {
				return
			}
			b, err := net.Dial("tcp", target)
			if err != nil {
				a.Close()
				continue
			}
			done.Go(func() { g.copy(b, a, toServer) })
			done.Go(func() { g.copy(a, b, fromServer) })
		}
	})
	return g
}

func (g *gate) copy(to io.WriteCloser, from io.ReadCloser, direction int) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		if g.swallow[direction].Load() {
			continue
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// A proposal whose acknowledgement is lost is unknown, and stands; one that is lost on
// its way is unknown, and does not.
func TestOutcomeIsUnknownWhenTheRoadIsCut(t *testing.T) {
	for name, c := range map[string]struct {
		direction int
		epoch     uint64 // that stands in the end
	}{"before": {toServer, 1}, "after": {fromServer, 2}} {
		t.Run(name, func(t *testing.T) {
			srv, nc := embedded(t)
			direct := open(t, nc, Options{})
			if o := propose(t, direct, of(1, 1), 0); o != Won {
				t.Fatal(o)
			}

			user, password := srv.NodeCredentials()
			u, err := url.Parse(srv.ClientURL())
			if err != nil {
				t.Fatal(err)
			}

			g := openGate(t, u.Host)
			gated, err := client.Connect("nats://"+g.listener.Addr().String(), client.UserInfo(user, password))
			if err != nil {
				t.Fatal(err)
			}
			defer gated.Close()
			s := open(t, gated, Options{})
			_, revision := read(t, s)

			g.swallow[c.direction].Store(true)
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			if o, _, err := s.Propose(ctx, of(2, 2), revision); o != Unknown || !errors.Is(err, ErrUnavailable) ||
				!errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v %v", o, err)
			}

			if rec, _ := read(t, direct); rec.Epoch != c.epoch {
				t.Errorf("epoch %d stands there", rec.Epoch)
			}
			if _, _, err := s.Read(ctx); !errors.Is(err, ErrUnavailable) {
				t.Errorf("read: %v", err)
			}
		})
	}
}

// The server stops while proposals are under way: each is won, lost or unknown, and what
// was won, or later, is what the server has when it is back.
func TestServerStopsMidway(t *testing.T) {
	c := startCluster(t)
	c.options[0].Cluster, c.options[0].Routes = nats.ClusterOpts{}, nil // alone
	c.start(t, 0)
	nc := bustest.Dial(t, bus.DialOptions{URL: c.url(0)})
	s := open(t, nc, Options{Timeout: 500 * time.Millisecond})

	won := make(chan uint64, 1)
	started := make(chan struct{})
	go func() {
		last := uint64(0)
		for epoch := uint64(1); ; epoch++ {
			o, _, err := s.Propose(context.Background(), of(epoch, epoch), epoch-1)
			if o != Won {
				if o != Unknown || !errors.Is(err, ErrUnavailable) {
					t.Errorf("epoch %d: %v %v", epoch, o, err)
				}
				won <- last
				return
			}
			if last = epoch; epoch == 20 {
				close(started)
			}
		}
	}()

	<-started
	c.stop(0)
	last := <-won
	if _, _, err := s.Read(t.Context()); !errors.Is(err, ErrUnavailable) {
		t.Errorf("a read of a server that is gone: %v", err)
	}

	c.start(t, 0)
	testkit.Await(t, "the server is back", func() bool {
		rec, _, err := s.Read(t.Context())
		if err == nil && rec.Epoch != last && rec.Epoch != last+1 {
			t.Fatalf("epoch %d was won last; now %d stands there", last, rec.Epoch)
		}
		return err == nil
	})
}
