package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"quartet/bus"
	"quartet/bus/model"
	"quartet/client"
	"quartet/client/clientcmd/console"
	"quartet/client/inbox"
	"quartet/client/judge/record"
	"quartet/client/measure/load"
)

// run is a bench under way.
type run struct {
	*bench
	plan
	printer  *printer
	progress *Progress

	lines   lines
	bucket  *load.Bucket
	admin   *nats.Conn       // on which the bucket was made
	theirs  [2][]load.Sender // kv and kv raw
	filled  [3]int           // what the keys that are set look like
	results []*measured

	own      ownCluster       // of the point, where the replicas are swept
	recorder *record.Recorder // nil: nothing is recorded
	series   uint64           // of the values of the last run or fill
}

// measured are one row's figures at one point.
type measured struct {
	row
	point point
	sides [][]load.Result // quartet and, in a comparison, kv and kv raw; by round
	early bool            // it was ended before its time
}

// failures are the requests that were refused, those of unknown outcome, and those of a peer of
// which one or the other is true.
func (m *measured) failures() (refused, unknown, peers uint64) {
	for n, side := range m.sides {
		for i := range side {
			if n > 0 {
				peers += side[i].Failed() + side[i].Unknown()
				continue
			}
			refused += side[i].Failed()
			unknown += side[i].Unknown()
		}
	}
	return refused, unknown, peers
}

func (m *measured) beyond() (n uint64) {
	for _, side := range m.sides {
		for i := range side {
			n += side[i].Beyond
		}
	}
	return n
}

// all measures every row at every point. On an error, results are those that there are.
func (r *run) all(ctx context.Context) error {
	for _, point := range r.points {
		if err := r.prepare(ctx, &point); err != nil {
			return err
		}
		if err := r.at(ctx, point); err != nil {
			return err
		}
	}
	return nil
}

// at measures every row at one point: round by round, so that whatever else the machine
// does falls on all of them.
func (r *run) at(ctx context.Context, point point) error {
	all := make([]*measured, len(r.rows))
	for i, row := range r.rows {
		all[i] = &measured{row: row, point: point, sides: make([][]load.Result, r.sides())}
	}
	for round := range r.rounds {
		for i, m := range all {
			failure := r.measure(ctx, m, round)
			if failure == nil && round < r.rounds-1 {
				continue
			}
			if err := r.keep(m); err != nil {
				return err
			}
			if failure == nil {
				continue
			}
			for _, other := range all[i+1:] { // have one round less, or none
				other.early = true
				if err := r.keep(other); err != nil {
					return err
				}
			}
			return failure
		}
	}
	return nil
}

func (r *run) sides() int {
	if r.compare {
		return 1 + len(r.theirs)
	}
	return 1
}

// keep adds what was measured to the results, if anything was.
func (r *run) keep(m *measured) error {
	if len(m.sides[0]) == 0 {
		return nil
	}
	r.results = append(r.results, m)
	r.progress.Clear()
	if err := r.printer.row(m); err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	return nil
}

// measure runs one round of a row, the sides in turn. A round that does not come to its
// end is kept where there is none before it and nothing to compare it with.
func (r *run) measure(ctx context.Context, m *measured, round int) error {
	sides := [][]load.Sender{r.ours(m.model)}
	if r.compare {
		sides = append(sides, r.theirs[:]...)
	}
	o := m.point.load
	o.Gets, o.Processes, o.Seed = m.gets, r.Load.Processes, m.point.load.Seed+uint64(round)
	o.Series = r.nextSeries()
	o.Progress = r.progress.Of(r.title(m, round))
	results := make([]load.Result, len(sides))
	for i := range sides {
		side := (i + round) % len(sides)
		var err error
		if results[side], err = load.Run(ctx, o, sides[side]); err != nil {
			m.early = true
			if round == 0 && len(sides) == 1 && results[0].Window > 0 {
				m.sides[0] = results
			}
			return fmt.Errorf("bench: %w", err)
		}
	}
	for side := range sides {
		m.sides[side] = append(m.sides[side], results[side])
	}
	return nil
}

// title says what is being measured.
func (r *run) title(m *measured, round int) string {
	title := "measuring " + m.name()
	if r.swept != nil {
		title += fmt.Sprintf(", %s %d", r.swept.name, m.point.value)
	}
	if r.rounds > 1 {
		title += fmt.Sprintf(", round %d of %d", round+1, r.rounds)
	}
	return title
}

func (r *run) ours(m model.Consistency) []load.Sender {
	senders := make([]load.Sender, len(r.lines.clients))
	for i, c := range r.lines.clients {
		q := load.Quartet{Client: c, Consistency: m, Observe: r.observe}
		if senders[i] = q; r.driver == driverGoroutine {
			senders[i] = load.QuartetCaller{Quartet: q}
		}
	}
	return senders
}

// startRecord has every request recorded from now on, if the user asked for it. Whoever records
// into the same folder draws other values.
func (r *run) startRecord() (err error) {
	if r.recorder, err = r.rec.Open(false); r.recorder != nil {
		r.series = uint64(rand.Uint32())
		r.observe = console.Observer(r.recorder, "bench", "")
	}
	return err
}

// nextSeries numbers the runs and fills, so that no two write one value.
func (r *run) nextSeries() uint64 {
	r.series++
	return r.series
}

// first returns a client, nil if there is no connection.
func (r *run) first() *client.Client {
	if len(r.lines.clients) == 0 {
		return nil
	}
	return r.lines.clients[0]
}

// prepare makes the connections that a point needs, and sets its keys.
func (r *run) prepare(ctx context.Context, point *point) error {
	first := r.lines.clients == nil
	if err := r.begin(ctx, point); err != nil {
		return err
	}

	if len(r.lines.clients) != point.connections {
		r.lines.close()
		r.lines = lines{}
		if err := r.lines.open(ctx, r.bench, point.connections); err != nil {
			return err
		}
		if first || r.own.cluster != nil {
			if err := r.look(ctx, r.lines.clients[0]); err != nil {
				return err
			}
		}
		if first {
			if err := r.startRecord(); err != nil {
				return err
			}
		}
		if err := r.openBucket(ctx); err != nil {
			return err
		}
	}

	// The keys are set once for all points that ask for the same ones.
	want := [...]int{point.load.Keys, point.load.KeySize, point.load.ValueSize}
	if r.filled == want {
		return nil
	}

	o := point.load
	o.Series = r.nextSeries()
	o.Progress = r.progress.Of(fmt.Sprintf("setting %d keys", o.Keys))
	c := r.lines.clients[0]
	if err := load.Fill(ctx, o, load.Quartet{Client: c, Consistency: model.Linearizable, Observe: r.observe}); err != nil {
		return Explain(ctx, c, err)
	}

	if r.compare {
		o.Progress = r.progress.Of(fmt.Sprintf("putting %d keys", o.Keys))
		if err := load.Fill(ctx, o, r.theirs[1][0]); err != nil {
			return err
		}
	}

	r.filled = want
	return nil
}

// withoutJetStream adds what to do where the server gives clients no JetStream.
func withoutJetStream(err error) error {
	notGiven := errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount)
	notThere := errors.Is(err, jetstream.ErrJetStreamNotEnabled) || errors.Is(err, nats.ErrNoResponders)
	if notGiven || notThere || errors.Is(err, bus.ErrPermission) {
		return fmt.Errorf("bench: --compare-kv needs JetStream, which the server gives its clients if it is started "+
			"as quartet master --client-jetstream (any other NATS server: jetstream enabled, for this account too): "+
			"%w", err)
	}
	return err
}

// openBucket makes the bucket, once, and its senders on the connections of now.
func (r *run) openBucket(ctx context.Context) (err error) {
	if !r.compare {
		return nil
	}
	if r.bucket == nil {
		if r.admin, err = r.conn.Dial(ctx, "quartet bench"); err != nil {
			return fmt.Errorf("bench: %w", err)
		}

		asking, refused := context.WithCancelCause(ctx)
		stop := bus.OnRefusal(r.admin, func(e *bus.PermissionError) { refused(e) })
		r.bucket, err = load.MakeBucket(asking, r.admin)
		stop()
		if cause := context.Cause(asking); cause != nil {
			err = cause
		}
		refused(nil)
		if err != nil {
			return withoutJetStream(err)
		}
	}
	r.theirs = [2][]load.Sender{}
	for i, nc := range r.lines.conns {
		caller, err := r.bucket.API(ctx, nc, r.conn.Timeout)
		if err != nil {
			return err
		}
		r.theirs[0] = append(r.theirs[0], caller)
		r.theirs[1] = append(r.theirs[1], r.bucket.Sender(r.lines.inboxes[i], r.conn.Timeout))
	}
	return nil
}

// close gives back what was opened. Also after Ctrl-C, so with a time of its own.
func (r *run) close() {
	defer func() {
		r.lines.close()
		if err := r.own.stop(); err != nil {
			fmt.Fprintln(r.env.Stderr, err)
		}
	}()
	if r.bucket != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := r.bucket.Delete(ctx); err != nil {
			fmt.Fprintln(r.env.Stderr, err)
		}
	}
	if r.admin != nil {
		r.admin.Close()
	}
}

// lines are the connections.
type lines struct {
	clients []*client.Client
	inboxes []*inbox.Inbox // on the same number of connections, for kv raw
	conns   []*nats.Conn   // under the inboxes, for kv
	closers []func()
}

func (l *lines) close() {
	for _, c := range l.closers {
		c()
	}
	l.closers = nil
}

func (l *lines) open(ctx context.Context, b *bench, n int) error {
	for range n {
		c, err := b.conn.Connect(ctx) // nameless: a name is one more header on each request
		if err != nil {
			return err
		}
		l.clients, l.closers = append(l.clients, c), append(l.closers, func() { _ = c.Close() })
		if !b.compare {
			continue
		}
		nc, err := b.conn.Dial(ctx, "quartet bench")
		if err != nil {
			return fmt.Errorf("bench: %w", err)
		}
		in, err := inbox.New(nc)
		if err != nil {
			nc.Close()
			return fmt.Errorf("bench: %w", err)
		}
		l.inboxes, l.conns = append(l.inboxes, in), append(l.conns, nc)
		l.closers = append(l.closers, func() { _ = in.Close(); nc.Close() })
	}
	return nil
}
