package monitor

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"quartet/bus"
	"quartet/bus/link"
	"quartet/bus/testkit"
)

func TestAddresses(t *testing.T) {
	for listen, want := range map[string]struct {
		address  string
		loopback bool
	}{
		"9420": {"127.0.0.1:9420", true}, "-1": {"127.0.0.1:0", true},
		"127.0.0.1:-1": {"127.0.0.1:0", true}, "localhost:1": {"localhost:1", true},
		"[::1]:9420": {"[::1]:9420", true}, "0.0.0.0:9420": {"0.0.0.0:9420", false},
		"10.0.0.7:9420": {"10.0.0.7:9420", false},
	} {
		if address, loopback, err := Parse(listen); address != want.address || loopback != want.loopback || err != nil {
			t.Errorf("%s: %s %v %v, want %+v", listen, address, loopback, err, want)
		}
	}
	for _, listen := range []string{"", ":9420", "here", "127.0.0.1:x", "127.0.0.1:65536", "1:2:3", "127.0.0.1:-2"} {
		if _, _, err := Parse(listen); !errors.Is(err, ErrAddress) {
			t.Errorf("%q: %v", listen, err)
		}
	}
}

// What is asked of a node that has not begun, works, stands still, and has ended.
func TestAnswersFollowTheLoop(t *testing.T) {
	probe := bus.NewProbe[string]()
	const later = "later: "
	ready := Ready(probe, func(s string) string {
		if strings.HasPrefix(s, later) {
			return ""
		}
		return s
	}, func(s string) string { return strings.TrimPrefix(s, later) })
	alive := Alive(probe)

	gone, cancel := context.WithCancel(t.Context())
	cancel()

	check := func(when string, ctx context.Context, wantAlive, wantReady bool) {
		t.Helper()
		if _, err := alive(ctx); (err == nil) != wantAlive {
			t.Errorf("%s: alive: %v", when, err)
		}
		if _, err := ready(ctx); (err == nil) != wantReady {
			t.Errorf("%s: ready: %v", when, err)
		}
	}

	check("before the beginning", t.Context(), true, false)
	probe.Begin()
	check("a loop that stands still", gone, false, false)

	why := make(chan string)
	stop := make(chan struct{})
	go func() {
		say := ""
		for {
			select {
			case reply := <-probe.Asked():
				reply <- say
			case say = <-why:
			case <-stop:
				probe.End()
				return
			}
		}
	}()

	check("ready", t.Context(), true, true)
	why <- "two replicas are missing"
	check("not ready", t.Context(), true, false)
	if _, err := ready(t.Context()); err == nil || err.Error() != "two replicas are missing" {
		t.Errorf("the reason: %v", err)
	}

	why <- later + "one replica may not fail"
	if answer, err := ready(t.Context()); err != nil || answer != "ok, but one replica may not fail" {
		t.Errorf("the warning: %q, %v", answer, err)
	}

	close(stop)
	if _, err := probe.Ask(t.Context()); err != nil && !errors.Is(err, bus.ErrEnded) {
		t.Fatal(err)
	}
}

func TestServing(t *testing.T) {
	var log bytes.Buffer
	probe := bus.NewProbe[string]()
	m, err := Listen(Options{
		Listen: "0.0.0.0:0", Node: "m1", Alive: Alive(probe), Ready: Ready(probe, func(s string) string { return s }, nil),
		Collectors: collectorsOf(probe), Log: slog.New(slog.NewTextHandler(&log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), m.URL()) {
		t.Errorf("an address that others reach is not warned of: %s", log.String())
	}

	_, port, _ := strings.Cut(m.addr.String(), "]:")
	base := "http://127.0.0.1:" + port
	status, body := testkit.Get(t, base+"/metrics")
	if status != http.StatusOK || !strings.Contains(body, `quartet_up{node="m1"} 0`) || !strings.Contains(body, "go_goroutines") {
		t.Errorf("%d\n%s", status, body)
	}
	if status, body := testkit.Get(t, base+"/readyz"); status != http.StatusServiceUnavailable || body != bus.ErrNotBegun.Error()+"\n" {
		t.Errorf("%d %q", status, body)
	}
	if status, _ := testkit.Get(t, base+"/healthz"); status != http.StatusOK {
		t.Error(status)
	}
	if r, err := http.Post(base+"/metrics", "", nil); err != nil || r.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("a POST: %v %v", r, err)
	}

	if _, err := Listen(Options{Listen: "127.0.0.1:" + port, Log: slog.New(slog.DiscardHandler)}); !errors.Is(err, ErrListen) {
		t.Errorf("a port that is taken: %v", err)
	}

	if err := m.Close(); err != nil {
		t.Error(err)
	}
	if _, err := http.Get(base + "/healthz"); err == nil {
		t.Error("it still answers")
	}
}

func collectorsOf(p *bus.Probe[string]) []prometheus.Collector {
	return []prometheus.Collector{&Collector[string]{
		Probe:   p,
		Traffic: func(*string) *link.Traffic { return &link.Traffic{} },
		Samples: func(chan<- prometheus.Metric, *string) {},
	}}
}
