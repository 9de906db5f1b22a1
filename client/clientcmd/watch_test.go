package clientcmd_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"quartet/bus"
	"quartet/bus/host/exit"
	"quartet/bus/model"
	"quartet/bus/testkit"
	"quartet/client/quartettest"
)

// A watch shows what is there and each change, until Ctrl-C, which is no failure. It is recorded,
// as a list is page by page, so that both can be judged with what was written.
func TestWatchShowsAndRecords(t *testing.T) {
	cluster := quartettest.Start(t)
	dir := t.TempDir()
	do := func(args ...string) world {
		t.Helper()
		w := quartet(t, cluster.URL, append(args, "--record", dir)...)
		if w.status != exit.StatusOK {
			t.Fatalf("%v: status %d, %s", args, w.status, w.err)
		}
		return w
	}
	do("set", "w/before", "there")

	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	watch := world{env: map[string]string{"NATS_URL": cluster.URL}}
	var shown testkit.Buffer
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		watch.runIn(ctx, &shown, "watch", "w/", "-o", "jsonl", "--record", dir)
	}()
	awaitLines(t, &shown, 2)

	for _, args := range [][]string{
		{"set", "w/a", "1"}, {"set", "elsewhere", "x"}, {"delete", "w/before"}, {"add", "w/n", "7"},
		{"set", "w/b", "2", "--consistency", "eventual"},
	} {
		do(args...)
	}
	awaitLines(t, &shown, 6)
	interrupt()
	<-ended
	if watch.status != exit.StatusOK || watch.err != "" {
		t.Errorf("Ctrl-C: status %d, %s", watch.status, watch.err)
	}

	var got []string
	for i, line := range strings.Split(strings.TrimSpace(shown.String()), "\n") {
		var e bus.JSONEvent
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.Sequence != uint64(i+1) {
			t.Errorf("%s: %v", line, err)
		}
		word := e.Event
		if e.Key != nil {
			word += " " + *e.Key
		}
		got = append(got, word)
	}
	want := []string{"VALUE w/before", "CAUGHT-UP", "SET w/a", "DELETE w/before", "SET w/n", "SET w/b"}
	if !slices.Equal(got, want) {
		t.Errorf("shown %q, want %q", got, want)
	}

	list := do("list", "w/", "--page", "2", "--values")
	if list.stdout != "w/a ::: 1\nw/b ::: 2\nw/n ::: 7\n" {
		t.Errorf("listed %q", list.stdout)
	}
	judgesWhatWasShown(t, cluster.URL, dir)
}

func awaitLines(t *testing.T, written *testkit.Buffer, lines int) {
	t.Helper()
	testkit.Eventually(t, time.Minute, fmt.Sprintf("%d events are shown", lines), func() error {
		if n := strings.Count(written.String(), "\n"); n < lines {
			return fmt.Errorf("%d: %s", n, written.String())
		}
		return nil
	})
}

// judgesWhatWasShown wants that a recording has a watch and the two pages of a list, and is right.
func judgesWhatWasShown(t *testing.T, url, dir string) {
	t.Helper()
	pages, events := 0, 0
	for _, o := range recordedIn(t, dir).Operations {
		switch o.Type {
		case model.List:
			pages++
		case model.Watch:
			events += len(o.Events)
		}
	}
	if pages != 2 || events != 6 {
		t.Errorf("%d pages and %d events are recorded", pages, events)
	}
	w := quartet(t, url, "check", dir)
	if w.status != exit.StatusOK || !strings.Contains(w.stdout, "lists  ") || !strings.Contains(w.stdout, "watches  ") {
		t.Errorf("check: status %d, %s\n%s", w.status, w.err, w.stdout)
	}
}
