package kv

import (
	"strings"

	"quartet/bus/model"
)

// op is what a request to the facade asks for.
type op uint8

const (
	opUnknown  op = iota
	opAccount     // INFO
	opWrite       // $KV.BUCKET.KEY
	opCreate      // STREAM.CREATE
	opUpdate      // STREAM.UPDATE
	opDelete      // STREAM.DELETE
	opInfo        // STREAM.INFO
	opPurge       // STREAM.PURGE
	opNames       // STREAM.NAMES
	opList        // STREAM.LIST
	opMsgGet      // STREAM.MSG.GET
	opDirect      // DIRECT.GET
	opConsumer    // CONSUMER.*: passed on
)

// call is a request's subject, taken apart.
type call struct {
	model  model.Consistency
	op     op
	bucket string // "": it concerns none, or what stands there names none
	key    string // of a write, and of a direct get by subject
	verb   string // of a request about consumers: what stands before the stream's name, as CREATE
	rest   string // … and what follows it, with its dot
}

// streamPrefix begins the name of a bucket's stream, as clients know it.
const streamPrefix = "KV_"

// subjectPrefix begins the subjects of a bucket's keys, as clients know them.
const subjectPrefix = "$KV."

// parseCall reads what follows the facade's prefix and its dot. The first token is the model,
// unless it is a part of the API.
func (f *Facade) parseCall(subject string) (c call) {
	c.model = model.Linearizable
	first, rest, more := strings.Cut(subject, ".")
	if m := modelOf(first); m != 0 && more {
		c.model, subject = m, rest
		first, rest, _ = strings.Cut(subject, ".")
	}

	switch first {
	case "$KV":
		c.op = opWrite
		c.bucket, c.key, _ = strings.Cut(rest, ".")
	case "INFO":
		if rest == "" {
			c.op = opAccount
		}
	case "STREAM":
		f.parseStream(&c, rest)
	case "DIRECT":
		f.parseDirect(&c, rest)
	case "CONSUMER":
		f.parseConsumer(&c, rest)
	}
	return c
}

func modelOf(word string) model.Consistency {
	for _, m := range model.All {
		if m.Word() == word {
			return m
		}
	}
	return 0
}

// parseStream reads what follows STREAM.
func (f *Facade) parseStream(c *call, rest string) {
	switch rest {
	case "NAMES":
		c.op = opNames
		return
	case "LIST":
		c.op = opList
		return
	}

	verb, stream, _ := strings.Cut(rest, ".")
	if stream, found := strings.CutPrefix(rest, "MSG.GET."); found {
		c.op, c.bucket = opMsgGet, f.bucketOf(stream)
		return
	}
	c.bucket = f.bucketOf(stream)
	switch verb {
	case "CREATE":
		c.op = opCreate
	case "UPDATE":
		c.op = opUpdate
	case "DELETE":
		c.op = opDelete
	case "INFO":
		c.op = opInfo
	case "PURGE":
		c.op = opPurge
	}
}

// parseDirect reads what follows DIRECT.
func (f *Facade) parseDirect(c *call, rest string) {
	rest, found := strings.CutPrefix(rest, "GET.")
	if !found {
		return
	}
	stream, subject, bySubject := strings.Cut(rest, ".")
	c.op, c.bucket = opDirect, f.bucketOf(stream)
	if bySubject {
		c.key = keyOf(c.bucket, subject)
		if c.key == "" {
			c.key = notAKey
		}
	}
}

// notAKey stands for a subject that is none of the bucket: no key begins with a blank.
const notAKey = " "

// keyOf is the key of a bucket that a subject names; "": it names none.
func keyOf(bucket, subject string) string {
	rest, found := strings.CutPrefix(subject, subjectPrefix)
	if !found {
		return ""
	}
	rest, found = strings.CutPrefix(rest, bucket)
	if !found {
		return ""
	}
	key, found := strings.CutPrefix(rest, ".")
	if !found {
		return ""
	}
	return key
}

// verbs are what may stand between CONSUMER and a stream's name; the longer ones first.
var verbs = []string{"DURABLE.CREATE", "MSG.NEXT", "CREATE", "DELETE", "INFO", "NAMES", "LIST", "PAUSE", "UNPIN"}

// parseConsumer reads what follows CONSUMER.
func (f *Facade) parseConsumer(c *call, rest string) {
	for _, verb := range verbs {
		after, found := strings.CutPrefix(rest, verb+".")
		if !found {
			continue
		}
		stream, tail, more := strings.Cut(after, ".")
		c.op, c.verb, c.bucket = opConsumer, verb, f.bucketOf(stream)
		if more {
			c.rest = "." + tail
		}
		return
	}
}

// bucketOf is the bucket whose stream has that name: the clients' name, or the one that the shadow
// has in truth, which replies of the server hold.
func (f *Facade) bucketOf(stream string) string {
	if bucket, found := strings.CutPrefix(stream, streamPrefix); found {
		return bucket
	}
	bucket, found := strings.CutPrefix(stream, f.shadows)
	if end := strings.LastIndexByte(bucket, '-'); found && end > 0 {
		return bucket[:end]
	}
	return ""
}

// Bounds of names.
const (
	maxBucket = 200 // bytes: a stream's name is a folder of the server's, too
	maxShown  = 64  // history of a bucket, as nats.go has it
)

// isBucket reports whether a name is one that a bucket can have.
func isBucket(name string) bool {
	for i := range len(name) {
		c := name[i]
		isSmall, isCapital := c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z'
		isDigit, isSign := c >= '0' && c <= '9', c == '_' || c == '-'
		if !isSmall && !isCapital && !isDigit && !isSign {
			return false
		}
	}
	return name != "" && len(name) <= maxBucket
}
