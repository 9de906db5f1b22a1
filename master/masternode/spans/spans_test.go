package spans_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"quartet/bus/model"
	"quartet/master/inprocess"
	"quartet/master/masternode"
	"quartet/master/masternode/spans"
)

// collector takes spans as an OTLP collector does; it is busy at first.
type collector struct {
	mu      sync.Mutex
	busy    int
	headers http.Header
	spans   []*tracepb.Span
	about   map[string]string
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var data tracepb.TracesData
	if err != nil || r.URL.Path != "/v1/traces" || r.Method != http.MethodPost || proto.Unmarshal(body, &data) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.busy--; c.busy >= 0 {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	c.headers, c.about = r.Header.Clone(), map[string]string{}
	for _, resource := range data.ResourceSpans {
		for _, a := range resource.Resource.Attributes {
			c.about[a.Key] = a.Value.GetStringValue()
		}
		for _, scope := range resource.ScopeSpans {
			c.spans = append(c.spans, scope.Spans...)
		}
	}
}

// named returns the spans of a name.
func (c *collector) named(name string) (list []*tracepb.Span) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.spans {
		if s.Name == name {
			list = append(list, s)
		}
	}
	return list
}

func attributes(s *tracepb.Span) map[string]any {
	m := map[string]any{}
	for _, a := range s.Attributes {
		if text := a.Value.GetStringValue(); text != "" {
			m[a.Key] = text
		} else {
			m[a.Key] = a.Value.GetIntValue()
		}
	}
	return m
}

const (
	traceID  = "0af7651916cd43dd8448eb211c80319c"
	parentID = "b7ad6b7169203331"
)

func env(pairs map[string]string) func(string) string {
	return func(name string) string { return pairs[name] }
}

// Requests of a real cluster become spans at a collector that is busy at first.
func TestSpansOfARealCluster(t *testing.T) {
	at := &collector{busy: 1}
	server := httptest.NewServer(at)
	defer server.Close()
	tracer, err := spans.Open(t.Context(), spans.Options{
		Endpoint: server.URL, Version: "1.2.3", Log: slog.New(slog.DiscardHandler),
		Getenv: env(map[string]string{"OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20secret, x=y"}),
	})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	c, err := inprocess.Start(t.Context(), inprocess.Options{RunDir: dir + "/run", LogDir: dir + "/log", Tracer: tracer})
	if err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect(c.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	send := func(body, traceparent string) {
		t.Helper()
		m := &nats.Msg{Subject: "quartet.request", Data: []byte(body), Header: nats.Header{"Quartet-Client": {"Tester"}}}
		if traceparent != "" {
			m.Header["Traceparent"] = []string{traceparent} // names of headers are read in any letter case
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if _, err := nc.RequestMsgWithContext(ctx, m); err != nil {
			t.Fatal(err)
		}
	}
	send("1, 1, secret ::: value", "00-"+traceID+"-"+parentID+"-01")
	send("1, 2, secret", "00-"+traceID+"-"+parentID+"-00") // not sampled
	send("2, 2, secret", "00-nonsense")
	send("3, 1, secret ::: value", "")
	send("9, 9, bad", "")
	if err := c.Stop(); err != nil {
		t.Error(err)
	}
	if err := tracer.Close(); err != nil {
		t.Error(err)
	}
	set := at.named("quartet linearizable set")
	if len(set) != 1 || at.about["service.version"] != "1.2.3" || at.headers.Get("Authorization") != "Bearer secret" {
		t.Fatalf("%v, of %v, with %v", set, at.about, at.headers)
	}
	s, a := set[0], attributes(set[0])
	if hex(s.TraceId) != traceID || hex(s.ParentSpanId) != parentID || s.Kind != tracepb.Span_SPAN_KIND_SERVER ||
		s.EndTimeUnixNano < s.StartTimeUnixNano {
		t.Errorf("%v", s)
	}
	if a["quartet.code"] != int64(200) || a["quartet.position"] != int64(1) || a["quartet.client"] != "Tester" ||
		a["quartet.rid"] == nil || a["quartet.key"] != nil || len(a["quartet.key_hash"].(string)) != 16 {
		t.Errorf("%v", a)
	}
	var below *tracepb.Span
	for _, r := range at.named("replica") {
		if hex(r.ParentSpanId) == hex(s.SpanId) {
			below = r
		}
	}
	if below == nil || attributes(below)["quartet.replica"] != a["quartet.replica"] ||
		below.StartTimeUnixNano < s.StartTimeUnixNano || below.EndTimeUnixNano > s.EndTimeUnixNano {
		t.Errorf("below %v there is %v", s, below)
	}
	if got := at.named("quartet linearizable get"); len(got) != 0 {
		t.Errorf("its caller did not sample it: %v", got)
	}
	for _, name := range []string{"quartet sequential get", "quartet causal set", "quartet request"} {
		got := at.named(name)
		if len(got) != 1 || len(got[0].ParentSpanId) != 0 || hex(got[0].TraceId) == traceID {
			t.Errorf("%s is a trace of its own: %v", name, got)
		}
	}

	for _, bad := range at.named("quartet request") {
		if bad.Status.GetCode() != tracepb.Status_STATUS_CODE_ERROR || attributes(bad)["quartet.code"] != int64(400) {
			t.Errorf("%v", bad)
		}
	}
}

// A condition that did not hold is an answer, and its span says of which revision the key is. What
// was refused is an error.
func TestSpansOfOutcomes(t *testing.T) {
	at := &collector{}
	server := httptest.NewServer(at)
	defer server.Close()
	tracer, err := spans.Open(t.Context(), spans.Options{Endpoint: server.URL, Log: slog.New(slog.DiscardHandler), Getenv: env(nil)})
	if err != nil {
		t.Fatal(err)
	}

	bad := map[model.Code]bool{model.OK: false, model.Failed: false, model.Unavailable: true, model.Unknown: true}
	for code := range bad {
		tracer.Answered(&masternode.Traced{
			Model: model.Linearizable, Type: model.Txn, Code: code, Received: time.Now(), Answered: time.Now(),
			HasRevision: code.Answered(), Revision: 17,
		})
	}
	if err := tracer.Close(); err != nil {
		t.Fatal(err)
	}

	spans := at.named("quartet linearizable txn")
	if len(spans) != len(bad) {
		t.Fatalf("%d spans of %d requests", len(spans), len(bad))
	}
	for _, s := range spans {
		a := attributes(s)
		code := model.Code(a["quartet.code"].(int64))
		isError := s.Status.GetCode() == tracepb.Status_STATUS_CODE_ERROR
		hasRevision := a["quartet.revision"] == int64(17)
		if isError != bad[code] || hasRevision == isError {
			t.Errorf("%d: an error: %t; %v", code, isError, a)
		}
	}
}

func hex(b []byte) string {
	const digits = "0123456789abcdef"
	var s strings.Builder
	for _, c := range b {
		s.WriteByte(digits[c>>4])
		s.WriteByte(digits[c&15])
	}
	return s.String()
}

func TestSettings(t *testing.T) {
	for name, c := range map[string]struct {
		endpoint string
		env      map[string]string
		wanted   bool
	}{
		"nothing":    {},
		"a flag":     {"http://127.0.0.1:4318", nil, true},
		"a variable": {"", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, true},
		"of traces":  {"", map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, true},
		"disabled":   {"http://127.0.0.1:4318", map[string]string{"OTEL_SDK_DISABLED": "true"}, false},
		"exported not": {
			"",
			map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "OTEL_TRACES_EXPORTER": "none"},
			false,
		},
		"another thing": {"", map[string]string{"OTEL_SERVICE_NAME": "q"}, false},
	} {
		if got := spans.Wanted(c.endpoint, env(c.env)); got != c.wanted {
			t.Errorf("%s: %v", name, got)
		}
	}

	for name, c := range map[string]struct {
		endpoint string
		env      map[string]string
	}{
		"no URL":      {"127.0.0.1:4318", nil},
		"scheme":      {"grpc://127.0.0.1:4317", nil},
		"protocol":    {"http://127.0.0.1:4318", map[string]string{"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}},
		"timeout":     {"http://127.0.0.1:4318", map[string]string{"OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": "soon"}},
		"header":      {"http://127.0.0.1:4318", map[string]string{"OTEL_EXPORTER_OTLP_HEADERS": "a=%zz"}},
		"bad address": {"http://", nil},
	} {
		_, err := spans.Open(t.Context(), spans.Options{Endpoint: c.endpoint, Getenv: env(c.env), Log: slog.New(slog.DiscardHandler)})
		if !errors.Is(err, spans.ErrOptions) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
