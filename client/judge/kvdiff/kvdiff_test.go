package kvdiff_test

import (
	"context"
	"flag"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"quartet/bus/server/servertest"
)

var (
	programs  = flag.Int("kvdiff.programs", 40, "how many programs from seeds are compared")
	seed      = flag.Int64("kvdiff.seed", -1, "compare the program of this seed alone, and tell each step")
	firstSeed = flag.Int("kvdiff.first", 0, "the first seed")
)

// startJetStream runs a server with JetStream, and is what the facade is compared with.
func startJetStream(t testing.TB) *server.Server {
	t.Helper()
	return servertest.Start(t, &server.Options{JetStream: true, StoreDir: t.TempDir()})
}

func connect(t testing.TB, url string) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// compared is how the comparison of a program ended.
type compared struct {
	steps int
	first *outcome // the first that is no difference of the page
}

// compareStory is compare, and that JetStream is as the story has it.
func compareStory(t testing.TB, s *story, listed []*difference, theirs, ours *side) {
	t.Helper()
	p := s.program()
	unlike := func(at int, o *outcome) {
		if s.unlike(at, o.theirs) {
			t.Errorf("%s: JetStream is not as it is told to be, %q: step %d %s", s.name, s.want[at], at, o)
		}
	}
	if c := compareSteps(t, &p, listed, theirs, ours, unlike); c.first != nil {
		t.Errorf("%s: step %d %s", s.name, c.steps, c.first)
	}
}

func compare(t testing.TB, p *program, listed []*difference, theirs, ours *side) compared {
	t.Helper()
	return compareSteps(t, p, listed, theirs, ours, func(int, *outcome) {})
}

// compareSteps runs a program on both sides, step by step.
func compareSteps(t testing.TB, p *program, listed []*difference, theirs, ours *side, look func(int, *outcome)) compared {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	a, err := newPlayer(theirs, p)
	if err != nil {
		t.Fatal(err)
	}
	b, err := newPlayer(ours, p)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		for _, player := range []*player{a, b} {
			if err := player.end(ctx); err != nil {
				t.Errorf("%s: the end of %s: %v", player.side.name, p.name, err)
			}
		}
	}()

	for i := range p.steps {
		o := outcome{p.steps[i].String(), a.play(ctx, i), b.play(ctx, i)}
		if *seed >= 0 {
			t.Logf("%d %s", i, o)
		}
		look(i, &o)
		if o.theirs == o.ours {
			continue
		}
		d := o.among(listed)
		if d == nil {
			return compared{i, &o}
		}
		if d.ends {
			return compared{i, nil}
		}
	}
	return compared{len(p.steps), nil}
}

// seedsFrom are the seeds of a run: so many, or the one that was asked for.
func seedsFrom(first, n int) []uint64 {
	if *seed >= 0 {
		return []uint64{uint64(*seed)}
	}
	list := make([]uint64, n)
	for i := range list {
		list[i] = uint64(first + i)
	}
	return list
}
