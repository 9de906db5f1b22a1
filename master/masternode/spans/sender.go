package spans

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// ErrCollector is wrapped by what the collector refuses.
var ErrCollector = errors.New("spans: the collector refuses spans")

const (
	sendWait   = 10 * time.Second // the standard's default
	sendTries  = 3
	firstPause = 500 * time.Millisecond // between tries; it doubles
	answerMost = 4 << 10                // bytes of a refusal that are read
	tracesPath = "/v1/traces"
)

// sender posts spans by OTLP over HTTP. The SDK's own exporter for it brings gRPC along,
// which makes the program larger by a quarter; this is the part that is needed.
type sender struct {
	url     string
	headers http.Header
	wait    time.Duration // of one try
	client  *http.Client
}

// newSender settles where spans go and what is sent along, as OpenTelemetry's specification
// of the variables has it. The error wraps [ErrOptions].
func newSender(endpoint string, getenv func(string) string) (*sender, error) {
	s := &sender{headers: http.Header{"Content-Type": {"application/x-protobuf"}}, wait: sendWait, client: &http.Client{}}
	switch {
	case endpoint != "":
		s.url = endpoint
	case getenv(EnvTracesEndpoint) != "":
		s.url = getenv(EnvTracesEndpoint)
	default:
		s.url = strings.TrimSuffix(getenv(EnvEndpoint), "/") + tracesPath
	}
	u, err := url.Parse(s.url)
	if err != nil {
		return nil, badCollector(s.url)
	}
	isHTTP := u.Scheme == "http" || u.Scheme == "https"
	if !isHTTP || u.Host == "" {
		return nil, badCollector(s.url)
	}

	// A flag names a collector; of a variable the specification says what a path means.
	isBareFlag := u.Path == "/" && endpoint != ""
	if u.Path == "" || isBareFlag {
		u.Path = tracesPath
		s.url = u.String()
	}

	either := func(name string) string {
		if v := getenv("OTEL_EXPORTER_OTLP_TRACES_" + name); v != "" {
			return v
		}
		return getenv("OTEL_EXPORTER_OTLP_" + name)
	}
	if p := either("PROTOCOL"); p != "" && p != "http/protobuf" {
		return nil, fmt.Errorf("%w: OTEL_EXPORTER_OTLP_PROTOCOL is %q: only http/protobuf is spoken", ErrOptions, p)
	}
	if text := either("TIMEOUT"); text != "" {
		ms, err := strconv.ParseUint(text, 10, 31)
		if err != nil || ms == 0 {
			return nil, fmt.Errorf("%w: OTEL_EXPORTER_OTLP_TIMEOUT is %q: want milliseconds", ErrOptions, text)
		}
		s.wait = time.Duration(ms) * time.Millisecond
	}
	for _, pair := range strings.Split(either("HEADERS"), ",") {
		name, text, ok := strings.Cut(strings.TrimSpace(pair), "=")
		if !ok {
			continue
		}
		value, err := url.PathUnescape(strings.TrimSpace(text))
		if err != nil {
			return nil, fmt.Errorf("%w: OTEL_EXPORTER_OTLP_HEADERS: the value of %q is not percent-encoded", ErrOptions, name)
		}
		s.headers.Set(strings.TrimSpace(name), value)
	}
	return s, nil
}

func badCollector(url string) error {
	return fmt.Errorf("%w: collector %q: want http://HOST:PORT or https://HOST:PORT", ErrOptions, url)
}

// Start implements the exporter's client: there is nothing to begin.
func (s *sender) Start(context.Context) error { return nil }

// Stop implements the exporter's client.
func (s *sender) Stop(context.Context) error {
	s.client.CloseIdleConnections()
	return nil
}

// UploadTraces implements the exporter's client. What a collector may take later is tried
// again, a few times.
func (s *sender) UploadTraces(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	// On the wire TracesData is what the collector's request is: one repeated field.
	body, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: spans})
	if err != nil {
		return fmt.Errorf("spans: %w", err)
	}
	pause := firstPause
	for try := 1; ; try++ {
		again, err := s.post(ctx, body)
		if err == nil || !again || try == sendTries {
			return err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return errors.Join(err, context.Cause(ctx))
		}
		pause *= 2
	}
}

// post sends once; again says that another try may help.
func (s *sender) post(ctx context.Context, body []byte) (again bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.wait)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(body))
	if err != nil {
		return false, fmt.Errorf("spans: %w", err)
	}
	r.Header = s.headers.Clone()
	answer, err := s.client.Do(r)
	if err != nil {
		return true, fmt.Errorf("spans: %w", err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, answerMost))
	switch {
	case answer.StatusCode/100 == 2:
		return false, nil
	case err != nil:
		text = nil
	}
	switch answer.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		again = true
	}
	return again, fmt.Errorf("%w: %s: %q", ErrCollector, answer.Status, text)
}
