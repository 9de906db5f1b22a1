package inprocess_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"quartet/bus"
	"quartet/bus/model"
)

// serviceSays asks a micro service and reads its answer into v.
func serviceSays(t *testing.T, nc *nats.Conn, verb micro.Verb, id string, v any) {
	t.Helper()
	subject, err := micro.ControlSubject(verb, "quartet", id)
	if err != nil {
		t.Fatal(err)
	}
	says(t, nc, subject, v)
}

func says(t *testing.T, nc *nats.Conn, subject string, v any) {
	t.Helper()
	m, err := nc.Request(subject, nil, 10*time.Second)
	if err == nil {
		err = json.Unmarshal(m.Data, v)
	}
	if err != nil {
		t.Fatalf("%s: %v", subject, err)
	}
}

// A master is a NATS micro service, whatever its subjects are: it is found in each of the
// three ways, and says what it serves.
func TestMicroServiceIsFound(t *testing.T) {
	o := options(t)
	o.Prefix = "made.up"
	nc := connect(t, o)

	var s bus.Status
	says(t, nc, "made.up.status", &s)
	want := micro.ServiceIdentity{
		Name: "quartet", ID: strconv.FormatUint(s.Master.Incarnation, 10), Version: "0.0.0+in-process",
		Metadata: map[string]string{
			"prefix": "made.up", "data": "memory", "cluster": s.Cluster, "epoch": strconv.FormatUint(s.Epoch, 10),
			"members": "r1 r2 r3", "replicas": "r1 r2 r3",
		},
	}
	if len(s.Cluster) != 16 {
		t.Errorf("the cluster's identity is %q", s.Cluster)
	}

	for _, who := range []string{"", ".quartet", ".quartet." + want.ID} {
		var ping micro.Ping
		var info micro.Info
		var stats micro.Stats
		says(t, nc, "$SRV.PING"+who, &ping)
		says(t, nc, "$SRV.INFO"+who, &info)
		says(t, nc, "$SRV.STATS"+who, &stats)

		if diff := cmp.Diff([]any{want, want, want, micro.PingResponseType, micro.InfoResponseType, micro.StatsResponseType},
			[]any{ping.ServiceIdentity, info.ServiceIdentity, stats.ServiceIdentity, ping.Type, info.Type, stats.Type}); diff != "" {
			t.Errorf("asked as $SRV.…%s: (-want +got)\n%s", who, diff)
		}
		if len(info.Endpoints) != 4 || len(stats.Endpoints) != 4 || stats.Started.IsZero() || info.Description == "" {
			t.Fatalf("%+v %+v", info, stats)
		}

		for i, m := range model.All {
			e, f := info.Endpoints[i], stats.Endpoints[i]
			if e.Name != m.Word() || f.Name != m.Word() || e.Subject != "made.up.request" || f.Subject != e.Subject ||
				e.QueueGroup != "made.up.masters" || f.QueueGroup != e.QueueGroup {
				t.Errorf("%+v %+v", e, f)
			}
			// What the endpoint says of itself are requests that are served.
			for _, typ := range model.Types {
				example, said := e.Metadata[typ.Word()]
				if !said {
					continue
				}
				got, _ := ask(t, nc, &nats.Msg{Subject: e.Subject, Data: []byte(example)})
				if !got.Code.Answered() || got.Model != m || got.Type != typ || got.Code == model.Failed {
					t.Errorf("%s: %+v", example, got)
				}
			}
			if e.Metadata["set"] == "" || e.Metadata["delete"] == "" {
				t.Errorf("%+v", e.Metadata)
			}
		}
	}

	notToldToOthers(t, nc)
	var removed bus.RemoveReply
	m, err := nc.Request("made.up.remove", []byte(`{"replica":"r3"}`), 10*time.Second)
	if err == nil {
		err = json.Unmarshal(m.Data, &removed)
	}
	if err != nil || !removed.Begun {
		t.Fatalf("%v %+v", err, removed)
	}

	var ping micro.Ping
	tick, late := time.NewTicker(5*time.Millisecond), time.After(20*time.Second)
	defer tick.Stop()
	for ping.Metadata["members"] != "r1 r2" || ping.Metadata["replicas"] != "r1 r2" || ping.Metadata["epoch"] == want.Metadata["epoch"] {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("the next view is not told: %+v", ping)
		}
		serviceSays(t, nc, micro.PingVerb, want.ID, &ping)
	}
}

// notToldToOthers: nothing is published for a client where a client may not publish itself.
func notToldToOthers(t *testing.T, nc *nats.Conn) {
	t.Helper()
	other, err := nc.SubscribeSync("made.up.reply.me")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Unsubscribe() }()
	if err := nc.PublishRequest("$SRV.PING.quartet", "made.up.reply.me", nil); err != nil {
		t.Fatal(err)
	}
	if err := nc.Publish("$SRV.PING.quartet", nil); err != nil {
		t.Fatal(err)
	}
	var ping micro.Ping
	says(t, nc, "$SRV.PING.quartet", &ping) // comes after them, by the same subscription
	if n, _, err := other.Pending(); err != nil || n != 0 {
		t.Errorf("%d answers, %v", n, err)
	}
}

// The figures are the report's: of each model, by type and code.
func TestMicroServiceCountsAsTheReportDoes(t *testing.T) {
	nc := connect(t, options(t))
	send := func(want model.Code, body string, h nats.Header) {
		t.Helper()
		if r, _ := ask(t, nc, &nats.Msg{Subject: "quartet.request", Header: h, Data: []byte(body)}); r.Code != want {
			t.Fatalf("%s: %+v", body, r)
		}
	}

	var before micro.Stats
	serviceSays(t, nc, micro.StatsVerb, "", &before)
	for _, e := range before.Endpoints {
		if e.NumRequests != 0 || e.NumErrors != 0 || e.LastError != "" || e.ProcessingTime != 0 ||
			e.AverageProcessingTime != 0 || string(e.Data) != "{}" {
			t.Errorf("before any request: %+v %s", e, e.Data)
		}
	}

	same := nats.Header{bus.HeaderMsgID: {"same"}}
	send(200, "1, 1, k ::: v", same)
	send(200, "1, 1, k ::: v", same)
	send(409, "1, 1, k ::: w", same)
	send(200, "1, 2, k", nil)
	send(404, "4, 2, nothing", nil)
	send(400, "4, 2, a:::b", nil)
	send(404, "4, 2, nothing", nil) // an answer: the last error stays
	send(400, "7, 2, k", nil)       // of no model
	send(425, "3, 2, k", nats.Header{bus.HeaderMinTimestamp: {"1000000"}})

	var stats micro.Stats
	serviceSays(t, nc, micro.StatsVerb, before.ID, &stats)
	var report bus.Report
	says(t, nc, "quartet.report", &report)

	took, timed, failed := map[string]float64{}, map[string]uint64{}, map[string]uint64{}
	for _, g := range report.Groups {
		took[g.Consistency] += g.Mean * float64(g.Timed)
		timed[g.Consistency] += g.Timed
		failed[g.Consistency] += g.Failed
	}

	var got []string
	for _, e := range stats.Endpoints {
		got = append(got, strings.Join([]string{e.Name, fmt.Sprint(e.NumRequests, " ", e.NumErrors), e.LastError, string(e.Data)}, "|"))
		if us := float64(e.ProcessingTime.Microseconds()); us < took[e.Name]-10 || us > took[e.Name]+10 {
			t.Errorf("%s: %v, the report has %v µs", e.Name, e.ProcessingTime, took[e.Name])
		}
		if n := timed[e.Name]; n > 0 && e.AverageProcessingTime != e.ProcessingTime/time.Duration(n) {
			t.Errorf("%s: average %v of %v", e.Name, e.AverageProcessingTime, e.ProcessingTime)
		}
		if uint64(e.NumErrors) != failed[e.Name] {
			t.Errorf("%s: %d errors, the report has %d failures", e.Name, e.NumErrors, failed[e.Name])
		}
	}

	if diff := cmp.Diff([]string{
		`linearizable|4 1|409:the Nats-Msg-Id was used for a different request|` +
			`{"get":{"requests":1,"duplicates":0,"codes":{"200":1}},"set":{"requests":3,"duplicates":1,"codes":{"200":2,"409":1}}}`,
		`sequential|0 0||{}`,
		`causal|1 1|` + stats.Endpoints[2].LastError + `|{"get":{"requests":1,"duplicates":0,"codes":{"425":1}}}`,
		`eventual|3 1|400:key holds :::|{"get":{"requests":3,"duplicates":0,"codes":{"400":1,"404":2}}}`,
	}, got); diff != "" || !strings.HasPrefix(stats.Endpoints[2].LastError, "425:") {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
