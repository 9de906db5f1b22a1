//go:build long

package e2e_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"quartet/client/measure/timeline"
)

// The kernel is asked who runs while a cluster is under load: the master, each replica and the load
// are seen, and a picture is drawn of some batches.
func TestATimelineOfALoad(t *testing.T) {
	r, err := timeline.Measure(t.Context(), timeline.Options{
		Program: binary, Consistency: "linearizable", Request: "set", Driver: "goroutine", Concurrency: 16, Lasts: 200 * time.Millisecond,
	})
	if errors.Is(err, timeline.ErrUnavailable) {
		t.Skipf("NOT RUN: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}

	if r.Rate <= 0 {
		t.Errorf("%v operations a second", r.Rate)
	}
	if want := []string{"master", "r1", "r2", "r3", "load", timeline.Others}; !slices.Equal(r.Trace.Lanes, want) {
		t.Errorf("lanes %v, want %v", r.Trace.Lanes, want)
	}
	for _, lane := range r.Figures.Lanes[:5] {
		if lane.Running == 0 || lane.Wakes == 0 {
			t.Errorf("it was not seen at work: %+v", lane)
		}
	}

	var text, picture bytes.Buffer
	if err := errors.Join(r.WriteText(&text), r.DrawBatches(&picture)); err != nil {
		t.Error(err)
	}
	if !bytes.Contains(text.Bytes(), []byte("linearizable set, 16 at once (goroutine); ")) || !bytes.Contains(picture.Bytes(), []byte("</svg>")) {
		t.Errorf("the figures are\n%s\nand the picture has %d bytes", &text, picture.Len())
	}
}
