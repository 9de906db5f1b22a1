package supervise

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

// What the log says of an end is what comes of it.
func TestTheLogSaysWhatComesOfAnEnd(t *testing.T) {
	for _, c := range []struct {
		as   string // the process's role; "missing": only at its second start
		says string
		not  string
	}{
		{"lives", "has ended and is to be started again", "again and again"},
		{"replaced", "once that one is silent", "to be started again"},
		{"damaged", "its data are damaged and are not served", "to be started again"},
		{"missing", "could not be started; it is tried again", "again and again"},
	} {
		t.Run(c.as, func(t *testing.T) {
			b := newBench(t)
			var said bytes.Buffer
			b.opts.Log = slog.New(slog.NewTextHandler(&said, nil))
			switch c.as {
			case "lives", "missing":
				b.start(r1, "lives")
				b.end(r1)
			default:
				b.start(r1, c.as)
				b.awaitEnd()
			}

			if c.as == "missing" {
				said.Reset()
				b.roles[r1] = "missing"
				b.now = b.now.Add(FirstDelay)
				b.nothing()
			}
			if !strings.Contains(said.String(), c.says) || strings.Contains(said.String(), c.not) {
				t.Errorf("the log says %s", &said)
			}
		})
	}
}
