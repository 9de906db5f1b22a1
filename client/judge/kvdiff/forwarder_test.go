package kvdiff_test

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// fault changes what a forwarder passes on: a request on its way, or the answer to it. It stands
// for a mistake that a facade could make.
type fault struct {
	number  int
	name    string
	request func(subject string, m *nats.Msg)
	answer  func(subject string, m *nats.Msg)
}

// startForwarder passes what is sent below prefix on to JetStream: no facade could differ less.
// With a fault it is one that is wrong.
func startForwarder(t testing.TB, url, prefix string, f fault) {
	t.Helper()
	nc := connect(t, url)
	_, err := nc.Subscribe(prefix+".>", func(m *nats.Msg) {
		subject := strings.TrimPrefix(m.Subject, prefix+".")
		out := &nats.Msg{Subject: "$JS.API." + subject, Reply: m.Reply, Header: m.Header, Data: m.Data}
		if strings.HasPrefix(subject, "$KV.") {
			out.Subject = subject
		}
		if f.request != nil {
			f.request(subject, out)
		}

		// A watch's messages may come before the reply: only the server can send them.
		if strings.HasPrefix(subject, "CONSUMER.") {
			_ = nc.PublishMsg(out) // the client sees that nothing comes
			return
		}
		out.Reply = ""
		back := &nats.Msg{Subject: m.Reply}
		switch r, err := nc.RequestMsg(out, 5*time.Second); {
		case err == nil:
			back.Header, back.Data = r.Header, r.Data
		case errors.Is(err, nats.ErrNoResponders):
			back.Header = nats.Header{"Status": []string{"503"}}
		default:
			return
		}
		if f.answer != nil {
			f.answer(subject, back)
		}
		_ = nc.PublishMsg(back)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
}

// faults are mistakes that the comparison must find.
func faults() []fault {
	without := func(header string) func(string, *nats.Msg) {
		return func(_ string, m *nats.Msg) { m.Header.Del(header) }
	}
	change := func(prefix, from, to string) func(string, *nats.Msg) {
		return func(subject string, m *nats.Msg) {
			if strings.HasPrefix(subject, prefix) {
				m.Data = regexp.MustCompile(from).ReplaceAll(m.Data, []byte(to))
			}
		}
	}

	return []fault{
		{name: "a conflict is reported as success", answer: change("$KV.", `"error":`, `"seq":1,"wrong":`)},
		{name: "a conflict has another code", answer: change("$KV.", "10071", "10164")},
		{name: "a condition is ignored", request: without("Nats-Expected-Last-Subject-Sequence")},
		{name: "a purge leaves the history", request: without("Nats-Rollup")},
		{name: "the TTL of a key is ignored", request: without("Nats-TTL")},
		{name: "a retry is executed again", request: without("Nats-Msg-Id")},
		{name: "a deleted key is not marked", answer: without("KV-Operation")},
		{name: "a get is older than the last write", answer: stale()},
		{name: "a watch of updates shows what was there", request: change("CONSUMER.CREATE.", `"deliver_policy":"new"`, `"deliver_policy":"last_per_subject"`)},
		{name: "a watch without history has it", request: change("CONSUMER.CREATE.", `"last_per_subject"`, `"all"`)},
		{name: "a watch from a revision begins anew", request: change("CONSUMER.CREATE.", `"opt_start_seq":[0-9]+`, `"opt_start_seq":1`)},
		{name: "a bucket keeps one value more", request: change("STREAM.CREATE.", `"max_msgs_per_subject":1,`, `"max_msgs_per_subject":2,`)},
		{name: "a marker stays that was to be purged", request: change("STREAM.PURGE.", `"filter":`, `"keep":1,"filter":`)},
		{name: "a missing bucket is called otherwise", answer: change("STREAM.INFO.", "10059", "10037")},
		{name: "a description is lost", request: change("STREAM.CREATE.", `"description":"of`, `"description":"as`)},
	}
}

// stale answers a get of a key with what the get before was answered.
func stale() func(string, *nats.Msg) {
	var mu sync.Mutex
	last := map[string]*nats.Msg{}
	return func(subject string, m *nats.Msg) {
		if !strings.HasPrefix(subject, "DIRECT.GET.") || !strings.Contains(subject, "$KV.") {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		now := &nats.Msg{Header: m.Header, Data: m.Data}
		if was := last[subject]; was != nil {
			m.Header, m.Data = was.Header, was.Data
		}
		last[subject] = now
	}
}

// seedsForFaults is how many programs a fault may stay hidden in.
const seedsForFaults = 60

// What passes everything on is the same, and each fault is found: the comparison can fail.
func TestTheComparisonFindsFaults(t *testing.T) {
	t.Parallel()
	url := startJetStream(t).ClientURL()
	theirs := &side{name: "JetStream", nc: connect(t, url)}
	standIn := startJetStream(t).ClientURL()
	run := func(t *testing.T, f fault, seeds int) (found *outcome) {
		prefix := fmt.Sprintf("stand.in.%d", f.number)
		startForwarder(t, standIn, prefix, f)
		ours := &side{name: f.name, nc: connect(t, standIn), prefix: prefix}
		for _, seed := range seedsFrom(0, seeds) {
			p := generate(seed)
			if c := compare(t, &p, nil, theirs, ours); c.first != nil {
				t.Logf("found with seed %d, step %d: %s", seed, c.steps, c.first)
				return c.first
			}
		}
		return nil
	}

	if found := run(t, fault{name: "none"}, 20); found != nil {
		t.Errorf("without a fault: %s", found)
	}
	prefix := "stand.in.of.stories"
	startForwarder(t, standIn, prefix, fault{})
	for _, s := range slices.Concat(stories(), slowStories) {
		compareStory(t, &s, nil, theirs, &side{name: "stand-in", nc: connect(t, standIn), prefix: prefix})
	}
	for i, f := range faults() {
		f.number = i + 1
		t.Run(f.name, func(t *testing.T) {
			if run(t, f, seedsForFaults) == nil {
				t.Errorf("not found in %d programs", seedsForFaults)
			}
		})
	}
}
