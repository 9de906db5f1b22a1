package clientcmd_test

import (
	"context"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"quartet/bus/host/exit"
	"quartet/bus/testkit"
	"quartet/client/internal/responder"
)

func TestTheConsoleRefusesWhatCannotBe(t *testing.T) {
	for want, args := range map[string][]string{
		"listens on this machine alone": {"--listen", "0.0.0.0:0"},
		"wrong address":                 {"--listen", "127.0.0.1:http"},
		"a cluster of its own":          {"--demo"},
		"quartet secure init makes":     {"--secure", t.TempDir()},
	} {
		w := quartet(t, "", append([]string{"console", "--nats", "nats://127.0.0.1:1"}, args...)...)
		if w.status != exit.StatusUsage || !strings.Contains(w.err, want) || w.stdout != "" {
			t.Errorf("%v: %d %s %s", args, w.status, w.err, w.stdout)
		}
	}
}

// The console says where it is, is there until it is told to end, and finds the cluster by the
// settings of every command.
func TestTheConsoleIsThereUntilItEnds(t *testing.T) {
	r := responder.Start(t, nil)
	ctx, end := context.WithCancel(t.Context())
	defer end()
	var said testkit.Buffer
	w := world{env: map[string]string{"NATS_URL": r.URL}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.runIn(ctx, &said, "console", "--listen", "127.0.0.1:-1", "--runs", t.TempDir())
	}()

	line := regexp.MustCompile(`(?m)^console (http://127\.0\.0\.1:\d+)$`)
	testkit.Await(t, "its address", func() bool { return line.MatchString(said.String()) })
	url := line.FindStringSubmatch(said.String())[1]
	testkit.Await(t, "the cluster", func() bool {
		reply, err := http.Get(url)
		if err != nil {
			return false
		}
		defer reply.Body.Close()
		body, err := io.ReadAll(reply.Body)
		return err == nil && strings.Contains(string(body), "All four models are served")
	})
	end()
	<-done
	if w.status != exit.StatusOK || w.err != "" {
		t.Errorf("it ended with %d %s", w.status, w.err)
	}
}
