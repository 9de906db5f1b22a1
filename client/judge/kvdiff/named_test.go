package kvdiff_test

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"time"
)

// story is a program about one thing that JetStream does, above all where memory guesses wrong.
type story struct {
	name   string
	legacy bool
	steps  []step
	want   map[int]string // by step: a pattern of what JetStream says
}

// program is the story as a program on buckets of its own, in memory unless a step names the one in
// a file.
func (s *story) program() program {
	p := program{name: s.name, legacy: s.legacy, steps: s.steps, prefix: "story"}
	for i := range p.steps {
		if c := p.steps[i].Config; c != nil {
			c.Bucket, c.Memory = cmp.Or(c.Bucket, one), c.Bucket != inFile
		}
		if p.steps[i].Bucket == "" {
			p.steps[i].Bucket = one
		}
	}
	return p
}

// unlike is where JetStream does not say what the story expects of it.
func (s *story) unlike(at int, said string) bool {
	want, is := s.want[at]
	return is && !regexp.MustCompile(want).MatchString(said)
}

const (
	one    = "story-one"
	two    = "story-two"
	inFile = "story-in-a-file" // see [generator.config]: made once
	stream = "KV_" + one
)

func made(c config) step { return step{Do: "make", Config: &c} }

func put(key, value string) step { return step{Do: "put", Key: key, Value: value} }

// asked is a step that publishes a message without a client; headers are names and values in turn.
func asked(subject, body string, headers ...string) step {
	r := &raw{Subject: subject, Body: body, Headers: map[string]string{}}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Headers[headers[i]] = headers[i+1]
	}
	key, _ := strings.CutPrefix(subject, "$KV."+one+".")
	if key == subject {
		key = ""
	}
	return step{Do: "raw", Key: key, Raw: r}
}

func watched(at int, o watching, filters ...string) step {
	return step{Do: "watch", Watch: at, Filters: filters, Options: &o}
}

// keyA is the subject of key a.
const keyA = "$KV." + one + ".a"

// What most stories have for a bucket.
var (
	plain = config{History: 3}
	ends  = config{History: 3, MarkerTTL: time.Hour}
)

// stories are what takes no time.
func stories() []story { return slices.Concat(ofKeys, ofWatches, ofBuckets) }

var ofKeys = []story{
	{
		name: "names of headers are case-sensitive: in another case they are stored, without effect",
		steps: []step{
			made(ends), put("a", "1"), asked(keyA, "2", "Nats-Ttl", "x"), asked(keyA, "3", "Kv-Operation", "DEL"),
			asked(keyA, "4", "nats-expected-last-subject-sequence", "99"), {Do: "history", Key: "a"},
		},
		want: map[int]string{2: "^ok", 3: "^ok", 4: "^ok"},
	},
	{
		name: "the TTL of a key is a whole second or more, and needs a bucket with markers",
		steps: []step{
			made(ends), {Do: "create", Key: "a", Value: "1", TTL: 500 * time.Millisecond}, asked(keyA, "2", "Nats-TTL", "-5"),
			asked(keyA, "2", "Nats-TTL", "500ms"), asked(keyA, "2", "Nats-TTL", "1x"), asked(keyA, "2", "Nats-TTL", "never"),
			{Do: "make", Config: &config{Bucket: two}}, {Do: "create", Bucket: two, Key: "a", TTL: time.Hour},
			{Do: "remove", Bucket: two, Key: "a", Purge: true, TTL: time.Hour}, {Do: "remove", Key: "a", TTL: time.Hour},
		},
		want: map[int]string{1: "10165", 7: "10166", 8: "10166", 9: "no TTL on delete"},
	},
	{
		name: "a create after a delete succeeds, and an update of what was never there",
		steps: []step{
			made(plain), put("a", "1"), {Do: "remove", Key: "a"}, {Do: "create", Key: "a", Value: "2"},
			{Do: "create", Key: "a", Value: "3"}, {Do: "update", Key: "b", Value: "1", Revision: zero},
			{Do: "update", Key: "b", Value: "2", Revision: zero}, {Do: "remove", Key: "a", Purge: true}, {Do: "create", Key: "a", Value: "4"},
		},
		want: map[int]string{3: "^ok", 4: "key exists", 5: "^if 0: ok", 6: "10071", 8: "^ok"},
	},
	{
		name: "a revision is one of its key",
		steps: []step{
			made(plain), put("a", "1"), put("b", "2"), {Do: "remove", Key: "a"},
			{Do: "getRevision", Key: "a", Revision: first}, {Do: "getRevision", Key: "a", Revision: other},
			{Do: "getRevision", Key: "a", Revision: latest}, {Do: "getRevision", Key: "a", Revision: future},
			{Do: "getRevision", Key: "a", Revision: zero},
		},
		want: map[int]string{4: "a=\"1\"", 5: "key not found", 6: "key not found"},
	},
	{
		name: "a history holds so many, and a purge takes the others away",
		steps: []step{
			made(plain), put("a", "1"), put("a", "2"), put("a", "3"), put("a", "4"), {Do: "history", Key: "a"},
			{Do: "getRevision", Key: "a", Revision: first}, {Do: "remove", Key: "a"}, {Do: "history", Key: "a"},
			{Do: "remove", Key: "a", Purge: true}, {Do: "history", Key: "a"}, {Do: "status"},
			{Do: "purgeDeletes", TTL: time.Hour}, {Do: "status"}, {Do: "purgeDeletes", TTL: -1}, {Do: "status"}, {Do: "history", Key: "a"},
		},
		want: map[int]string{5: `2.*3.*4`, 6: "key not found", 16: "key not found"},
	},
	{
		name: "a write that is sent again under its id is done once, and is told the first revision",
		steps: []step{
			made(plain), asked(keyA, "1", "Nats-Msg-Id", one+"-x"), put("a", "2"), asked(keyA, "1", "Nats-Msg-Id", one+"-x"), {Do: "history", Key: "a"},
		},
		want: map[int]string{3: "duplicate of @w1"},
	},
	{
		name: "a condition of another stream, and a rollup that is none",
		steps: []step{
			made(plain), asked(keyA, "1", "Nats-Expected-Stream", "KV_other"), asked(keyA, "1", "Nats-Rollup", "some"),
			asked(keyA, "1", "Nats-Expected-Last-Subject-Sequence", "x"), asked(keyA, "1", "Nats-Expected-Last-Sequence", "99"),
			{Do: "get", Key: "a"},
		},
		want: map[int]string{1: "10060", 5: "key not found"},
	},
}

var ofWatches = []story{
	{
		name: "filters that overlap are refused, and one that matches no key shows none",
		steps: []step{
			made(plain), put("a.b", "1"), {Do: "listKeys", Filters: []string{"a.*", "a.>"}}, {Do: "listKeys", Filters: []string{"a.b", ">"}},
			{Do: "listKeys", Filters: []string{"a*"}}, {Do: "listKeys", Filters: []string{"*"}}, {Do: "listKeys", Filters: []string{"a.b", "c"}},
			{Do: "listKeys", Filters: []string{"a.>.b"}}, {Do: "listKeys", Filters: []string{""}},
		},
		want: map[int]string{2: "10138", 3: "10138", 4: `^ok \[\]`, 5: `^ok \[\]`, 6: `a\.b`},
	},
	{
		name: "watches: with history, of updates, of metadata, without deletes, from a revision",
		steps: []step{
			made(plain), put("a", "1"), put("a", "2"), put("b.c", "3"), {Do: "remove", Key: "a"},
			watched(1, watching{}), watched(2, watching{History: true}, "a"), watched(3, watching{UpdatesOnly: true}, "b.*"),
			watched(4, watching{MetaOnly: true}, ">"), watched(5, watching{IgnoreDeletes: true}, "a", "b.>"),
			{Do: "watch", Watch: 6, Key: "a", Revision: latest, Options: &watching{}}, watched(7, watching{History: true, UpdatesOnly: true}),
			put("a", "5"), put("b.c", "6"), {Do: "remove", Key: "b.c", Purge: true}, put("b.d", "7"), {Do: "stop", Watch: 4}, put("a", "8"),
		},
		want: map[int]string{7: "^ok$", 8: `a=""`, 9: "b.c", 11: "invalid option"},
	},
	{
		name:   "the legacy package's watches",
		legacy: true,
		steps: []step{
			made(plain), put("a", "1"), put("a", "2"), {Do: "remove", Key: "b"}, watched(1, watching{}), watched(2, watching{History: true}, "a"),
			watched(3, watching{MetaOnly: true, IgnoreDeletes: true}, "a", "b"), put("a", "3"), {Do: "remove", Key: "a", Purge: true}, {Do: "keys"},
		},
		want: map[int]string{9: "no keys|\\[\\]"},
	},
}

var ofBuckets = []story{
	{
		name: "a configuration that is not understood is refused",
		steps: []step{
			asked("STREAM.CREATE."+stream, "{"), asked("STREAM.CREATE."+stream, `{"name":"`+stream+`","unknown":1}`),
			asked("STREAM.CREATE."+stream, `{"name":"KV_b"}`), made(config{History: 65}), made(config{Bucket: "a.b"}),
			asked("STREAM.DELETE."+stream, ""), asked("STREAM.INFO."+stream, ""), asked("STREAM.UPDATE."+stream, `{"name":"`+stream+`"}`),
		},
		want: map[int]string{0: "10025", 1: "10025", 2: "10056", 3: "history too large", 4: "invalid bucket name", 6: "10059 stream not found"},
	},
	{
		name: "a bucket is made again with the same configuration, not with another one",
		steps: []step{
			made(plain), made(plain), made(config{History: 4}), {Do: "makeOrUpdate", Config: &config{History: 4}}, {Do: "status"},
			{Do: "updateBucket", Config: &config{Bucket: two}}, {Do: "makeOrUpdate", Config: &config{Bucket: two, Description: "x"}},
			put("a", "1"), put("a", "2"), {Do: "updateBucket", Config: &config{History: 1}}, {Do: "history", Key: "a"},
			{Do: "updateBucket", Config: &config{MaxValueSize: 10}}, put("a", "more than ten bytes"), {Do: "removeBucket", Bucket: two},
			{Do: "removeBucket", Bucket: two}, {Do: "open", Bucket: two},
		},
		want: map[int]string{1: "^ok", 2: "bucket exists", 5: "bucket not found", 12: "10054", 14: "bucket not found"},
	},
	{
		name: "a value that is too large for its bucket, and a bucket that is full",
		steps: []step{
			made(config{MaxValueSize: 20}), put("a", strings.Repeat("x", 100)), put("a", "x"),
			{Do: "make", Config: &config{Bucket: two, MaxBytes: 2000}}, {Do: "put", Bucket: two, Key: "a", Value: strings.Repeat("x", 3000)},
		},
		want: map[int]string{1: "10054", 4: "10077|10047"},
	},
	{
		name: "messages cannot be deleted singly",
		steps: []step{
			made(plain), put("a", "1"), asked("STREAM.MSG.DELETE."+stream, `{"seq":1}`), {Do: "get", Key: "a"},
		},
		want: map[int]string{2: "10057"},
	},
	{
		name: "consumers of others",
		steps: []step{
			made(plain), put("a", "1"), asked("CONSUMER.INFO."+stream+".nobody", ""), asked("CONSUMER.DELETE."+stream+".nobody", ""),
			asked("CONSUMER.CREATE.KV_nobody.x", `{"stream_name":"KV_nobody","config":{"name":"x","ack_policy":"none"}}`),
			asked("CONSUMER.CREATE."+stream+".x", `{`),
		},
		want: map[int]string{2: "10014", 3: "10014", 4: "10059"},
	},
	{
		name:  "a write into no bucket",
		steps: []step{asked(keyA, "1"), {Do: "get", Key: "a"}}, want: map[int]string{0: "no responders", 1: "bucket not found"},
	},
	{name: "a mirror", steps: []step{{Do: "make", Config: &config{Bucket: two}}, made(config{Mirror: two})}},
	{name: "a source", steps: []step{{Do: "make", Config: &config{Bucket: two}}, made(config{Source: two})}},
	{name: "republishing", steps: []step{made(config{Republish: true})}},
	{name: "placement", steps: []step{made(config{Placement: "elsewhere"})}},
	{name: "a file", steps: []step{made(config{Bucket: inFile}), {Do: "put", Bucket: inFile, Key: "a", Value: "1"}, {Do: "status", Bucket: inFile}}},
	{name: "compression", steps: []step{made(config{Compression: true}), put("a", "1"), {Do: "status"}}},
}

const second = time.Second

// last is a bucket of last values, whose values end when they are asked to: see the third story.
var last = config{History: 1, MarkerTTL: time.Hour}

// slowStories are about the end of values: each takes a second or two.
var slowStories = []story{
	{
		name: "a key that ends: a marker, which watches show as a purge",
		steps: []step{
			made(last), watched(1, watching{}), {Do: "create", Key: "a", Value: "1", TTL: second}, {Do: "await", Watch: 1, Key: "a"},
			{Do: "get", Key: "a"}, {Do: "history", Key: "a"}, {Do: "keys"}, {Do: "create", Key: "a", Value: "2"}, {Do: "get", Key: "a"},
		},
		want: map[int]string{3: "KeyValuePurgeOp a", 4: "key not found", 7: "^ok"},
	},
	{
		name: "an update of a key that would end makes it permanent", // b tells when a would have ended
		steps: []step{
			made(last), watched(1, watching{}, "b"), {Do: "create", Key: "a", Value: "1", TTL: second},
			{Do: "update", Key: "a", Value: "2", Revision: latest}, {Do: "create", Key: "b", Value: "1", TTL: 2 * second},
			{Do: "await", Watch: 1, Key: "b"}, {Do: "get", Key: "a"},
		},
		want: map[int]string{6: `a="2"`},
	},
	{
		name: "with a history above 1 a TTL shorter than that of markers is raised to it", // b tells when a should have ended
		steps: []step{
			made(config{History: 3, MarkerTTL: time.Hour}), {Do: "create", Key: "a", Value: "1", TTL: second},
			{Do: "make", Config: &config{Bucket: two, History: 1, MarkerTTL: time.Hour}},
			{Do: "create", Bucket: two, Key: "b", Value: "1", TTL: 2 * second}, {Do: "gone", Bucket: two, Key: "b"}, {Do: "get", Key: "a"},
		},
		want: map[int]string{5: `a="1"`},
	},
	{
		name:  "a bucket's TTL without markers: values are gone, without a sign",
		steps: []step{made(config{TTL: second}), put("a", "1"), {Do: "gone", Key: "a"}, {Do: "keys"}, put("a", "2"), {Do: "get", Key: "a"}},
		want:  map[int]string{2: "key not found"},
	},
	{
		name: "a bucket's TTL with markers",
		steps: []step{
			made(config{TTL: second, MarkerTTL: time.Hour}), watched(1, watching{}), put("a", "1"),
			{Do: "await", Watch: 1, Key: "a"}, {Do: "get", Key: "a"},
		},
		want: map[int]string{3: "KeyValuePurgeOp a"},
	},
}
