// Package spans is OpenTelemetry spans of a master's requests. It promises one span of kind server
// from the receipt of a request to its answer, in the trace that the client's traceparent names or
// in one of its own, and below it one of the time that the request was with a replica. They leave
// by OTLP over HTTP, in batches, beside the master's loop; a collector that is slow or away costs
// spans, never requests.
//
// It is the only package that imports the OpenTelemetry SDK.
package spans

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"quartet/master/masternode"
)

// ErrOptions is wrapped by [Open] for settings that make no sense.
var ErrOptions = errors.New("spans: wrong settings")

// Variables that switch spans on, or say no. All others of OpenTelemetry hold, too: the
// SDK reads OTEL_TRACES_SAMPLER, OTEL_RESOURCE_ATTRIBUTES and OTEL_BSP_…, the sender
// OTEL_EXPORTER_OTLP_HEADERS, …_TIMEOUT and …_PROTOCOL, or those with TRACES_ in them.
const (
	EnvEndpoint       = "OTEL_EXPORTER_OTLP_ENDPOINT"
	EnvTracesEndpoint = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
	EnvDisabled       = "OTEL_SDK_DISABLED"
	EnvExporter       = "OTEL_TRACES_EXPORTER"
)

const (
	closeWait  = 3 * time.Second
	keyHashLen = 8 // bytes of a key's SHA-256 that a span carries
)

// Options say where spans go.
type Options struct {
	Endpoint string // URL of an OTLP collector, http://127.0.0.1:4318; "": as the environment says
	Keys     bool   // spans carry keys; else a hash of them
	Version  string
	Getenv   func(string) string
	Log      *slog.Logger
}

// Wanted reports whether the settings ask for spans.
func Wanted(endpoint string, getenv func(string) string) bool {
	if getenv(EnvDisabled) == "true" || getenv(EnvExporter) == "none" {
		return false
	}
	return endpoint != "" || getenv(EnvEndpoint) != "" || getenv(EnvTracesEndpoint) != ""
}

// Tracer makes spans. Make it with [Open]; it implements [masternode.Tracer].
type Tracer struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
	keys     bool
}

// Open begins. It does not reach the collector: that one may come later.
func Open(ctx context.Context, o Options) (*Tracer, error) {
	to, err := newSender(o.Endpoint, o.Getenv)
	if err != nil {
		return nil, err
	}
	exporter, err := otlptrace.New(ctx, to)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOptions, err)
	}
	about, err := resource.New(ctx,
		resource.WithAttributes(
			attribute.String("service.name", "quartet"),
			attribute.String("service.version", o.Version),
			attribute.String("service.instance.id", "m1")),
		resource.WithHost(), resource.WithProcessPID(), resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil && !errors.Is(err, resource.ErrPartialResource) && !errors.Is(err, resource.ErrSchemaURLConflict) {
		return nil, fmt.Errorf("%w: %w", ErrOptions, err)
	}

	// The SDK has one handler in a process for errors that it cannot return to a caller.
	otel.SetErrorHandler(&complaints{log: o.Log})
	provider := sdk.NewTracerProvider(sdk.WithBatcher(exporter), sdk.WithResource(about))
	return &Tracer{
		provider: provider, tracer: provider.Tracer("quartet/master", trace.WithInstrumentationVersion(o.Version)),
		keys: o.Keys,
	}, nil
}

// Close sends what is left; it gives up after three seconds.
func (t *Tracer) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeWait)
	defer cancel()
	return t.provider.Shutdown(ctx)
}

// Answered makes the spans of a request. It does not wait: what does not fit into the
// queue of spans is lost.
func (t *Tracer) Answered(r *masternode.Traced) {
	parent := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{
		"traceparent": r.Traceparent, "tracestate": r.Tracestate,
	})
	name := "quartet request"
	if r.Model.Valid() && r.Type.Valid() {
		name = "quartet " + r.Model.Word() + " " + r.Type.Word()
	}
	ctx, span := t.tracer.Start(parent, name, trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(r.Received))
	defer span.End(trace.WithTimestamp(r.Answered))
	if !span.IsRecording() {
		return
	}
	span.SetAttributes(t.attributes(r)...)
	if !r.Code.Answered() {
		span.SetStatus(codes.Error, r.Reason)
	}
	if r.Forwarded.IsZero() {
		return
	}
	heard := r.Heard
	if heard.IsZero() {
		heard = r.Answered
	}
	_, there := t.tracer.Start(ctx, "replica", trace.WithTimestamp(r.Forwarded), trace.WithSpanKind(trace.SpanKindClient))
	there.SetAttributes(attribute.String("quartet.replica", r.Replica))
	there.End(trace.WithTimestamp(heard))
}

// attributes are those of a request: OpenTelemetry's for databases, and our own.
func (t *Tracer) attributes(r *masternode.Traced) []attribute.KeyValue {
	list := []attribute.KeyValue{
		attribute.String("db.system.name", "quartet"),
		attribute.Int64("quartet.rid", int64(r.RID)),
		attribute.Int("quartet.code", int(r.Code)),
	}
	text := func(name, value string) {
		if value != "" {
			list = append(list, attribute.String(name, value))
		}
	}

	if r.Model.Valid() {
		text("quartet.consistency", r.Model.Word())
	}
	if r.Type.Valid() {
		text("db.operation.name", r.Type.Word())
	}

	text("quartet.client", r.Client)
	text("quartet.replica", r.Replica)

	switch {
	case r.Key == "":
	case t.keys:
		text("quartet.key", r.Key)
	default:
		sum := sha256.Sum256([]byte(r.Key))
		text("quartet.key_hash", hex.EncodeToString(sum[:keyHashLen]))
	}

	if r.HasRevision {
		list = append(list, attribute.Int64("quartet.revision", int64(r.Revision)))
	}
	if r.Code.Answered() && r.Model.Strong() {
		list = append(list, attribute.Int64("quartet.position", int64(r.Position)))
	}
	if r.Timestamp > 0 {
		list = append(list, attribute.Int64("quartet.timestamp", int64(r.Timestamp)))
	}
	if r.Repeated {
		list = append(list, attribute.Bool("quartet.repeated", true))
	}
	return list
}

// complaints logs what the SDK has to say, at most every ten seconds.
type complaints struct {
	log  *slog.Logger
	last atomic.Int64
}

const complainEvery = 10 * time.Second

// Handle implements the SDK's error handler.
func (c *complaints) Handle(err error) {
	now := time.Now().UnixNano()
	last := c.last.Load()
	if now-last < int64(complainEvery) || !c.last.CompareAndSwap(last, now) {
		return
	}
	c.log.Warn("spans are lost", "error", err)
}
