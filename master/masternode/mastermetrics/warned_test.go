package mastermetrics

import (
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"quartet/bus"
	"quartet/bus/testkit"
	"quartet/bus/trouble"
	"quartet/master/ledger"
	"quartet/master/masternode"
)

// A cluster that is ready, and whose next change of the view will fail, says so where it is
// watched: readiness is told with what will fail, and two gauges have it.
func TestWhatWillFailIsToldWhileAllIsWell(t *testing.T) {
	fails := trouble.NextChangeFails.Say("no quorum")
	for _, test := range []struct {
		name       string
		figures    masternode.Figures
		code       int
		says       string
		warnings   string
		unwritable string
	}{
		{"all is well", masternode.Figures{Status: bus.Status{Ready: true}}, http.StatusOK, "", " 0", " 0"},
		{"the next change will fail",
			masternode.Figures{Status: bus.Status{Ready: true, Warnings: []string{fails}}, Unwritable: true},
			http.StatusOK, fails, " 1", " 1"},
		{"it is not ready, either",
			masternode.Figures{Status: bus.Status{Reason: "why", Warnings: []string{fails}}, Unwritable: true},
			http.StatusServiceUnavailable, "why", " 1", " 1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			l, err := ledger.Open(ledger.Options{Dir: t.TempDir()})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := l.Close(); err != nil {
					t.Error(err)
				}
			})
			m, err := Listen("127.0.0.1:0", answering(t, test.figures), l, slog.New(slog.NewTextHandler(io.Discard, nil)))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = m.Close() })
			fetch := func(path string) (int, string) {
				t.Helper()
				return testkit.Get(t, strings.Replace(m.URL(), "/metrics", path, 1))
			}

			if code, said := fetch("/readyz"); code != test.code || !strings.Contains(said, test.says) {
				t.Errorf("/readyz: %d %s", code, said)
			}
			_, page := fetch("/metrics")
			for name, want := range map[string]string{"quartet_warnings": test.warnings, "quartet_view_record_unwritable": test.unwritable} {
				if !strings.Contains(page, "\n"+name+`{node="m1"}`+want+"\n") {
					t.Errorf("%s is not%s in:\n%s", name, want, page)
				}
			}
		})
	}
}
