package inprocess_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/testkit"
	"quartet/master/inprocess"
	"quartet/master/masternode"
)

// scrape returns every sample of the cluster's figures by name and labels.
func scrape(t *testing.T, url string) map[string]float64 {
	t.Helper()
	status, body := testkit.Get(t, url)
	if status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	out := map[string]float64{}
	for line := range strings.Lines(body) {
		line = strings.TrimSpace(line)
		at := strings.LastIndexByte(line, ' ')
		if !strings.HasPrefix(line, "quartet_") || at < 0 {
			continue
		}
		var v float64
		if _, err := fmt.Sscan(line[at+1:], &v); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		out[line[:at]] = v
	}
	return out
}

// readiness returns what /readyz says.
func readiness(t *testing.T, url string) (int, string) {
	t.Helper()
	return testkit.Get(t, strings.Replace(url, "/metrics", "/readyz", 1))
}

// A scrape says what the report says, and readiness ends with the second replica.
func TestMetricsOfARealCluster(t *testing.T) {
	ended := make(chan struct{}) // closed: r2 and r3 end, and end again when they are started
	around := func(run masternode.Runner) masternode.Runner {
		return func(ctx context.Context, r masternode.Replica) error {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			if r.ID.String() != "r1" {
				go func() {
					select {
					case <-ended:
						cancel()
					case <-ctx.Done():
					}
				}()
			}
			return errors.Join(run(ctx, r), errors.New("it was to end"))
		}
	}

	dir := t.TempDir()
	c, err := inprocess.Start(t.Context(), inprocess.Options{
		RunDir: dir + "/run", LogDir: dir + "/log", Metrics: "-1", Around: around, Suspect: 300 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	}()

	nc, err := nats.Connect(c.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	ask := func(subject, body string) []byte {
		t.Helper()
		m, err := nc.Request(subject, []byte(body), 10*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		return m.Data
	}

	for _, model := range []string{"1", "2", "3", "4"} {
		ask("quartet.request", model+", 1, key"+model+" ::: value")
		ask("quartet.request", model+", 2, nothing")
	}
	ask("quartet.request", "5, 1, bad")

	var report bus.Report
	if err := json.Unmarshal(ask("quartet.report", ""), &report); err != nil {
		t.Fatal(err)
	}

	got := scrape(t, c.Metrics)
	sameAsReport(t, got, &report)
	for sample, want := range map[string]float64{
		`quartet_up{node="m1"}`: 1, `quartet_ready{node="m1"}`: 1, `quartet_members{node="m1"}`: 3,
		`quartet_replicas{node="m1"}`: 3, `quartet_causal_last{node="m1"}`: 1,
		`quartet_requests_in_flight{node="m1"}`: 0, `quartet_resends_total{node="m1"}`: 0,
		`quartet_replica_member{node="m1",replica="r3"}`:                                                 1,
		`quartet_requests_total{code="400",model="",node="m1",outcome="refused",replica="",type="set"}`:  1,
		`quartet_requests_total{code="200",model="causal",node="m1",outcome="ok",replica="",type="set"}`: 1,
		`quartet_build_info{data="memory",node="m1",sync="",version="in-process"}`:                       1,
		`quartet_request_duration_seconds_bucket{model="eventual",node="m1",type="set",le="10"}`:         1,
		`quartet_request_duration_seconds_count{model="eventual",node="m1",type="set"}`:                  1,
	} {
		if v, ok := got[sample]; !ok || v != want {
			t.Errorf("%s is %v (%v), want %v", sample, v, ok, want)
		}
	}
	if got[`quartet_view_changes_total{node="m1"}`] < 1 || got[`quartet_messages_sent_total{kind="FORWARD",node="m1"}`] < 4 {
		t.Errorf("%v", got)
	}

	if status, body := readiness(t, c.Metrics); status != http.StatusOK {
		t.Errorf("ready: %d %s", status, body)
	}
	close(ended)
	unready(t, c.Metrics)
}

// sameAsReport compares counts and times.
func sameAsReport(t *testing.T, got map[string]float64, report *bus.Report) {
	t.Helper()
	byGroup, byReplica, byCode, byOutcome := map[string]float64{}, map[string]float64{}, map[string]float64{}, map[string]float64{}

	label := func(sample, name string) string {
		_, rest, _ := strings.Cut(sample, name+`="`)
		value, _, _ := strings.Cut(rest, `"`)
		return value
	}

	for sample, n := range got {
		if strings.HasPrefix(sample, "quartet_requests_total{") {
			byGroup[label(sample, "model")+" "+label(sample, "type")] += n
			byReplica[label(sample, "replica")] += n
			byCode[label(sample, "code")] += n
			byOutcome[label(sample, "outcome")] += n
		}
	}
	if len(byGroup) != len(report.Groups) || len(byReplica) != len(report.Replicas) {
		t.Errorf("%v, %v; report %+v", byGroup, byReplica, report)
	}

	for _, g := range report.Groups {
		name := g.Consistency + " " + g.Request
		if byGroup[name] != float64(g.Count) {
			t.Errorf("%s: %v, report %d", name, byGroup[name], g.Count)
		}
		sum := got[fmt.Sprintf(`quartet_request_duration_seconds_sum{model="%s",node="m1",type="%s"}`, g.Consistency, g.Request)]
		if timed := got[fmt.Sprintf(`quartet_request_duration_seconds_count{model="%s",node="m1",type="%s"}`,
			g.Consistency, g.Request)]; timed != float64(g.Timed) {
			t.Errorf("%s: %v have a time, report %d", name, timed, g.Timed)
		}
		if want := g.Mean * float64(g.Timed) / 1e6; sum < want*0.999 || sum > want*1.001 {
			t.Errorf("%s: took %v s, report %v", name, sum, want)
		}
	}

	for _, r := range report.Replicas {
		if byReplica[r.Replica] != float64(r.Count) {
			t.Errorf("%q: %v, report %d", r.Replica, byReplica[r.Replica], r.Count)
		}
	}

	if byOutcome["ok"]+byOutcome["absent"] != float64(report.Total.OK+report.Total.NoValue) ||
		byOutcome["refused"]+byOutcome["unknown"] != float64(report.Total.Failed) {
		t.Errorf("%v, report %+v", byOutcome, report.Total)
	}
	if byCode["200"] != float64(report.Total.OK) || byCode["404"] != 4 || byCode["400"] != 1 {
		t.Errorf("%v, report %+v", byCode, report.Total)
	}
}

// unready waits until the cluster says that it is not ready, and why.
func unready(t *testing.T, url string) {
	t.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatal("two of three replicas are gone, and it still says that it is ready")
		}
		if status, body := readiness(t, url); status == http.StatusServiceUnavailable {
			got := scrape(t, url)
			if !strings.Contains(body, "r2") || got[`quartet_ready{node="m1"}`] != 0 {
				t.Errorf("503 %q, %v", body, got)
			}
			return
		}
	}
}
