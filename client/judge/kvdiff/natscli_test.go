//go:build natscli

package kvdiff_test

import (
	"bytes"
	"context"
	"flag"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"
)

// natsProgram is the nats command: `task test:kv:cli` builds it.
var natsProgram = flag.String("kvdiff.nats", "nats", "the nats command")

// commandLines are what is typed, line by line: every subcommand of nats kv. A watch ends after a
// while, by itself.
const commandLines = `
kv ls -n
kv add one --history=5 --storage=memory --description=first --marker-ttl=1h
kv add one --history=5 --storage=memory --description=first --marker-ttl=1h
kv add one --history=6 --storage=memory
kv add bad.name
kv ls
kv ls -n
kv info one
kv status one
kv info nobody
kv get one colour
kv put one colour green
kv put one colour blue
kv put one a.b.c "some words"
kv put one "bad key" x
kv put nobody colour green
kv get one colour
kv get one colour --raw
kv get one colour --revision=1
kv get one colour --revision=99
kv create one colour red
kv create one lock mine --ttl=1h
kv create one lock yours
kv update one colour red 2
kv update one colour pink 2
kv history one colour
kv history one nobody
kv revert one colour 1 --force
kv get one colour --raw
kv ls one
kv ls one "a.>"
kv ls one -v
kv ls one -v --display-value
kv ls nobody
kv watch one
kv watch one "a.>"
kv watch one --history
kv watch one --updates
kv watch one --revision=3
kv del one colour --force
kv get one colour
kv history one colour
kv create one colour again
kv purge one colour --force
kv history one colour
kv purge one lock --force --ttl=1h
kv watch one
kv compact one --force
kv info one
kv ls one
kv edit one --history=2 --description=second
kv info one
kv edit nobody --history=2
kv add two --storage=memory --max-value-size=10
kv put two k "more than ten bytes"
kv ls
kv rm one a.b.c --force
kv rm one --force
kv rm one --force
kv del two --force
kv ls
`

// watchTime is how long a watch of the command is looked at. It ends by a signal.
const watchTime = 1500 * time.Millisecond

// What the nats command says is the same, with --js-api-prefix.
func TestNatsCommandIsTheSame(t *testing.T) {
	if _, err := exec.LookPath(*natsProgram); err != nil {
		t.Fatalf("%v: name it with -kvdiff.nats, or run `task test:kv:cli`", err)
	}
	theirs, ours, listed := startJetStream(t).ClientURL(), startFacade(t), differences(t)
	for _, line := range strings.Split(strings.TrimSpace(commandLines), "\n") {
		o := outcome{
			step:   "nats " + line,
			theirs: typed(t, line, "--server", theirs),
			ours:   typed(t, line, "--server", ours, "--js-api-prefix", facadePrefix),
		}
		if o.theirs != o.ours && o.among(listed) == nil {
			t.Errorf("%s", o)
		}
		t.Logf("%s\n%s", o.step, o.theirs)
	}
	tellDifferences(t, listed)
}

// typed runs a command line and returns what it said, and its exit status.
func typed(t *testing.T, line string, more ...string) string {
	t.Helper()
	limit := stepLimit
	if strings.HasPrefix(line, "kv watch") {
		limit = watchTime
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()

	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, *natsProgram, append(words(line), append(more, "--no-context")...)...)
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	said := plainly(out.String())
	if err != nil && ctx.Err() == nil {
		said += " (" + err.Error() + ")"
	}
	return said
}

// words are those of a command line; quotes hold words together.
func words(line string) []string {
	var list []string
	for i, part := range strings.Split(line, `"`) {
		if i%2 == 1 {
			list = append(list, part)
			continue
		}
		list = append(list, strings.Fields(part)...)
	}
	return list
}

// changing is what differs from run to run, and what it is called.
var changing = []struct {
	pattern *regexp.Regexp
	name    string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?Z?`), "<time>"},
	{regexp.MustCompile(`\d\d [A-Z][a-z]{2} \d\d \d\d:\d\d( UTC)?`), "<time>"},
	{regexp.MustCompile(`\b\d+(\.\d+)? ?(B|KiB|MiB|bytes)\b`), "<size>"},
	{regexp.MustCompile(`\b(\d+m)?\d+(\.\d+)?(ms|µs|s)\b`), "<duration>"},
	{regexp.MustCompile(`(?s)Cluster Information:.*`), ""}, // names of servers
	{regexp.MustCompile(`nats: `), ""},
	{regexp.MustCompile(`[ ─]+`), " "},
}

func plainly(said string) string {
	for _, c := range changing {
		said = c.pattern.ReplaceAllString(said, c.name)
	}
	return strings.TrimSpace(said)
}
