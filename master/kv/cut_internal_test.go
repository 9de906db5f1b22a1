package kv

import (
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"quartet/bus/model"
)

// A reader is done when the server has counted what is pending for it, and that is nothing; not
// while the server makes the consumer, when it says the same.
func TestAReaderIsDoneWhenItWasCounted(t *testing.T) {
	const newest = 100
	info := func(pending, sent, number uint64) *consumerInfo {
		i := &consumerInfo{Pending: pending}
		i.Delivered.Messages, i.Delivered.Number = sent, number
		return i
	}

	for name, c := range map[string]struct {
		said   []*consumerInfo
		isDone bool // after the last word; after none before
	}{
		"it is being made":            {[]*consumerInfo{info(0, 0, 0)}, false},
		"made, and then counted":      {[]*consumerInfo{info(0, 0, 0), info(7, 0, 0)}, false},
		"it goes on from the newest":  {[]*consumerInfo{info(0, 0, newest)}, true},
		"all was sent":                {[]*consumerInfo{info(0, 0, 0), info(3, 4, 4), info(0, 7, 7)}, true},
		"a pulling one was sent all":  {[]*consumerInfo{info(0, 7, 7)}, true},
		"it is behind":                {[]*consumerInfo{info(3, 4, 4)}, false},
		"it is past its beginning":    {[]*consumerInfo{info(3, 4, newest)}, true},
		"the newest came meanwhile":   {[]*consumerInfo{info(9, 4, 4), info(1, 12, newest)}, true},
		"nobody, for as long as that": {make([]*consumerInfo, idleFor), true},
	} {
		t.Run(name, func(t *testing.T) {
			var r reader
			for i, said := range c.said {
				if said == nil {
					said = info(0, 0, 0)
				}
				isLast := i == len(c.said)-1
				if done := r.takes(said, newest, time.Time{}); done != (isLast && c.isDone) {
					t.Errorf("word %d: done %v", i, done)
				}
			}
		})
	}
}

// Whoever is sent something that stands there is a reader, for whom that is kept; who is sent
// nothing is none, and has nobody wait.
func TestWhoIsAReader(t *testing.T) {
	for filters, isReader := range map[string]bool{
		`"filter_subject":"$KV.b.a"`:                     true,
		`"filter_subject":"$KV.b.none"`:                  false,
		`"filter_subject":"$KV.b.c.*"`:                   true,
		`"filter_subject":"$KV.b.*.x"`:                   false,
		`"filter_subject":"$KV.b.>"`:                     true,
		`"filter_subjects":["$KV.b.none","$KV.b.a"]`:     true,
		`"filter_subjects":["$KV.b.none","$KV.b.d.>"]`:   false,
		`"filter_subject":"$KV.b.a"` + policy("new"):     false,
		`"filter_subject":"$KV.b.c.d"` + policy("all"):   true,
		`"filter_subject":"$KV.b.none"` + policy("last"): false,
	} {
		f, _, b := opened(t)
		told(b, model.EventSet, "a", "1", 10)
		told(b, model.EventSet, "c.d", "1", 11)
		f.stored("b", &nats.Msg{Data: []byte(`{"stream":"S","seq":2}`)})
		ask(f, "CONSUMER.CREATE.KV_b.n", `{"stream_name":"KV_b","config":{`+filters+`}}`, nil)
		if got := len(b.out.cut.readers) == 1; got != isReader {
			t.Errorf("%s: a reader %v, want %v", filters, got, isReader)
		}
	}
}

func policy(word string) string { return `,"deliver_policy":"` + word + `"` }

// Of a bucket with very many keys it is not looked which of them a filter with wildcards has.
func TestFiltersOfALargeBucket(t *testing.T) {
	_, _, b := opened(t)
	for i := range mostFiltered + 1 {
		b.numbers.take(strconv.Itoa(i), entry{revision: uint64(i) + 1})
	}
	for filter, stands := range map[string]bool{"$KV.b.x.*": true, "$KV.b.x": false, "$KV.b.7": true} {
		if got := b.stands(beginning{name: "n", filters: []string{filter}}); got != stands {
			t.Errorf("%s: %v", filter, got)
		}
	}
}
