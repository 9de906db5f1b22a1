package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/client/clientcmd/console"
)

// What the doctor asks of buckets for NATS key-value clients.
const (
	mostBuckets = 16                  // that are looked at
	flowControl = "$JS.FC.quartet"    // an empty message there says nothing to anybody
	nobodys     = "quartet-doctor"    // a key, and a consumer, that nobody needs to have made
	isNoBucket  = "KV_quartet-doctor" // that a write is for, so that it is refused
)

// answer is what is read of the facade's answers.
type answer struct {
	Streams []string `json:"streams"`
	Error   *struct {
		Code        int    `json:"err_code"`
		Description string `json:"description"`
	} `json:"error"`
}

// noWatches is the code of errors that say that there is no stream to watch.
const noWatches = 10039

// lookAtBuckets says what this user may do as a client of NATS key-value. That it may not is no
// finding: not every user is one.
func (d *doctor) lookAtBuckets(ctx context.Context, nc *nats.Conn) {
	const what = "key-value"
	subjects, err := bus.NewSubjects(d.conn.Prefix)
	if err != nil {
		return // lookAtCluster says so
	}
	below := subjects.Buckets()
	remedy := fmt.Sprintf("for clients of NATS key-value, let this user publish on %s> and $JS.FC.>", below)

	buckets := d.buckets
	if len(buckets) == 0 {
		var names answer
		switch reply, verdict := d.may(ctx, nc, &nats.Msg{Subject: below + "STREAM.NAMES"}); {
		case verdict == isRefused:
			d.note(what, "this user may not ask which buckets there are ("+below+"STREAM.NAMES)",
				"what it may do with one says: quartet doctor --bucket NAME; "+remedy)
			return
		case verdict == isSilent || json.Unmarshal(reply.Data, &names) != nil:
			d.note(what, "nobody answers on "+below+"STREAM.NAMES", "clients of NATS key-value need a master of this version")
			return
		}
		for _, stream := range names.Streams {
			buckets = append(buckets, strings.TrimPrefix(stream, "KV_"))
		}
		d.ok(what, "%s below %s", counted(len(buckets), "bucket"), strings.TrimSuffix(below, "."))
	}

	if _, verdict := d.may(ctx, nc, &nats.Msg{Subject: flowControl}); verdict == isRefused {
		d.note(what, "this user may not publish on $JS.FC.>: a watch of much stands still after some 2,000 messages", remedy)
	}
	for _, bucket := range buckets[:min(len(buckets), mostBuckets)] {
		d.lookAtBucket(ctx, nc, below, bucket)
	}
	if more := len(buckets) - mostBuckets; more > 0 {
		d.note(what, counted(more, "more bucket")+" not looked at", "quartet doctor --bucket NAME looks at one")
	}
}

// lookAtBucket says what this user may do with one bucket. Nothing is written: what is sent as a
// put says that it is meant for another bucket.
func (d *doctor) lookAtBucket(ctx context.Context, nc *nats.Conn, below, bucket string) {
	stream := "KV_" + bucket
	var may, not []string
	noStream := false
	for _, try := range []struct {
		what string
		m    *nats.Msg
	}{
		{"bind", &nats.Msg{Subject: below + "STREAM.INFO." + stream}},
		{"get", &nats.Msg{Subject: below + "DIRECT.GET." + stream + ".$KV." + bucket + "." + nobodys}},
		{"put", &nats.Msg{Subject: below + "$KV." + bucket + "." + nobodys, Header: nats.Header{nats.ExpectedStreamHdr: {isNoBucket}}}},
		{"watch", &nats.Msg{Subject: below + "CONSUMER.INFO." + stream + "." + nobodys}},
	} {
		reply, verdict := d.may(ctx, nc, try.m)
		if verdict != isAllowed {
			not = append(not, try.what)
			continue
		}
		may = append(may, try.what)
		var a answer
		if json.Unmarshal(reply.Data, &a) == nil && a.Error != nil && a.Error.Code == noWatches {
			noStream = true
		}
	}

	text := "this user may " + console.OrDash(strings.Join(may, ", "))
	if len(not) > 0 {
		text += "; not " + strings.Join(not, ", ")
	}
	if noStream {
		d.finding("bucket "+bucket, text+"; there are no watches, keys and history",
			"its stream cannot be made: give the account that clients are in JetStream with room for another stream; the master's log says why")
		return
	}
	d.ok("bucket "+bucket, "%s", text)
}

// verdict is what came of a question.
type verdict int

const (
	isAllowed verdict = iota
	isRefused         // by the server's permissions
	isSilent          // it has no answer
)

// may asks, and says whether the server let it through. That nobody listens is an answer, too.
func (d *doctor) may(ctx context.Context, nc *nats.Conn, m *nats.Msg) (*nats.Msg, verdict) {
	ctx, cancel := d.aside(ctx, asideLimit)
	defer cancel()
	d.mu.Lock()
	d.trying, d.tryRefused = m.Subject, false
	d.mu.Unlock()
	reply, err := nc.RequestMsgWithContext(ctx, m)

	d.mu.Lock()
	defer d.mu.Unlock()
	d.trying = ""
	switch {
	case d.tryRefused:
		return nil, isRefused
	case errors.Is(err, nats.ErrNoResponders):
		return &nats.Msg{}, isAllowed
	case err != nil:
		return nil, isSilent
	}
	return reply, isAllowed
}
