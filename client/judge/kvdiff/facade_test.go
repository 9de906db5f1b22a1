package kvdiff_test

import (
	"slices"
	"testing"

	"quartet/client/quartettest"
)

// facadePrefix is what a user of NATS key-value sets as the prefix of the API.
const facadePrefix = "quartet.kv"

// startFacade is a cluster of quartet; it returns where clients connect.
func startFacade(t testing.TB) string { return quartettest.Start(t).URL }

// sides are the two that are compared.
func sides(t testing.TB) (theirs, ours *side) {
	t.Helper()
	theirs = &side{name: "JetStream", nc: connect(t, startJetStream(t).ClientURL())}
	return theirs, &side{name: "quartet", nc: connect(t, startFacade(t)), prefix: facadePrefix}
}

// The same programs have the same results, but for the differences of the page.
func TestProgramsAreTheSame(t *testing.T) {
	t.Parallel()
	theirs, ours := sides(t)
	listed, steps := differences(t), 0
	for _, seed := range seedsFrom(*firstSeed, *programs) {
		p := generate(seed)
		c := compare(t, &p, listed, theirs, ours)
		steps += c.steps
		if c.first != nil {
			t.Errorf("%s, after %d steps: %s\nshow all of it: -kvdiff.seed=%d", p.name, c.steps, c.first, seed)
		}
	}
	t.Logf("%d steps of %d programs", steps, *programs)
	tellDifferences(t, listed)
}

// So have the stories; what JetStream does in them is as they tell it.
func TestStoriesAreTheSame(t *testing.T) {
	t.Parallel()
	theirs, ours := sides(t)
	listed := differences(t)
	for _, s := range slices.Concat(stories(), slowStories) {
		compareStory(t, &s, listed, theirs, ours)
	}
	tellDifferences(t, listed)
}

// tellDifferences tells how often each difference was seen.
func tellDifferences(t *testing.T, listed []*difference) {
	t.Helper()
	for _, d := range listed {
		t.Logf("%4d × %s", d.seen, d.name)
	}
}
