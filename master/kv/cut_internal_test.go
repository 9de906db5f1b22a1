package kv

import (
	"testing"
	"time"
)

// A reader is done when the server has counted what is pending for it, and that is nothing; not
// while the server makes the consumer, when it says the same.
func TestAReaderIsDoneWhenItWasCounted(t *testing.T) {
	const newest = 100
	info := func(pending uint64, isBound bool, sent, number uint64) *consumerInfo {
		i := &consumerInfo{Pending: pending, Bound: isBound}
		i.Delivered.Messages, i.Delivered.Number = sent, number
		return i
	}

	for name, c := range map[string]struct {
		said   []*consumerInfo
		isDone bool // after the last word; after none before
	}{
		"it is being made":            {[]*consumerInfo{info(0, false, 0, 0)}, false},
		"made, and then counted":      {[]*consumerInfo{info(0, false, 0, 0), info(7, true, 0, 0)}, false},
		"its client has nothing":      {[]*consumerInfo{info(0, true, 0, 0)}, true},
		"all was sent":                {[]*consumerInfo{info(0, false, 0, 0), info(3, true, 4, 4), info(0, true, 7, 7)}, true},
		"a pulling one was sent all":  {[]*consumerInfo{info(0, false, 7, 7)}, true},
		"it is behind":                {[]*consumerInfo{info(3, true, 4, 4)}, false},
		"it is past its beginning":    {[]*consumerInfo{info(3, true, 4, newest)}, true},
		"the newest came meanwhile":   {[]*consumerInfo{info(9, true, 4, 4), info(1, true, 12, newest)}, true},
		"nobody, for as long as that": {make([]*consumerInfo, idleFor), true},
	} {
		t.Run(name, func(t *testing.T) {
			var r reader
			for i, said := range c.said {
				if said == nil {
					said = info(0, false, 0, 0)
				}
				isLast := i == len(c.said)-1
				if done := r.takes(said, newest, time.Time{}); done != (isLast && c.isDone) {
					t.Errorf("word %d: done %v", i, done)
				}
			}
		})
	}
}
