package bus

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"quartet/bus/lamport"
)

// DefaultPrefix is the first token of every subject unless told otherwise.
const DefaultPrefix = "quartet"

// MaxPrefix is the greatest length of a prefix in bytes.
const MaxPrefix = 64

// ErrPrefix is wrapped by [NewSubjects] for a prefix that cannot begin a subject.
var ErrPrefix = errors.New("bus: bad subject prefix")

// precomputed is how many replicas' subjects are kept ready: as many as a cluster
// may have. Other nodes' subjects are built when asked for.
const precomputed = 9

// Subjects are the names under one prefix. It is immutable, cheap to copy and safe for
// concurrent use; make it with [NewSubjects].
type Subjects struct {
	prefix, dotted          string
	request, status, report string
	batch, read             string
	recover, remove, lead   string
	led                     string
	node, nodes, all        string
	flow, changes           string
	ready                   []string // subject of replica i, from 1 to precomputed
}

// NewSubjects returns the subjects under prefix, which is one or more tokens with dots
// between them: 1 to [MaxPrefix] bytes without blanks, control characters and
// wildcards, not beginning with "$" or "_" (the bus keeps those for itself: a client's
// reply subject begins with _INBOX). The error wraps [ErrPrefix].
func NewSubjects(prefix string) (Subjects, error) {
	switch {
	case len(prefix) > MaxPrefix:
		return Subjects{}, fmt.Errorf("%w: longer than %d bytes", ErrPrefix, MaxPrefix)
	case !plainSubject(prefix):
		return Subjects{}, fmt.Errorf("%w: %q (tokens of printable characters without blanks, * and >, joined by dots)", ErrPrefix, prefix)
	case prefix[0] == '$' || prefix[0] == '_':
		return Subjects{}, fmt.Errorf("%w: %q (names that begin with $ or _ are the bus's own)", ErrPrefix, prefix)
	}
	s := Subjects{
		prefix: prefix, dotted: prefix + ".",
		request: prefix + ".request", batch: prefix + ".batch", read: prefix + ".read", status: prefix + ".status", report: prefix + ".report",
		recover: prefix + ".recover", remove: prefix + ".remove", lead: prefix + ".lead", led: prefix + ledSuffix,
		flow: prefix + ".flow.", changes: prefix + ".changes.",
		node: prefix + ".node.", nodes: prefix + ".node.*", all: prefix + ".>",
		ready: make([]string, precomputed+1),
	}
	for i := 1; i <= precomputed; i++ {
		s.ready[i] = s.node + lamport.Replica(i).String()
	}
	return s, nil
}

// Prefix returns what every subject begins with.
func (s Subjects) Prefix() string { return s.prefix }

// Request is where clients send their requests.
func (s Subjects) Request() string { return s.request }

// Batch is where a program sends several requests in one message: see [ParseBatch].
func (s Subjects) Batch() string { return s.batch }

// Read is where requests are sent that only read, by those who may do no more: gets, lists and
// watches are served there as on [Subjects.Request], and nothing else is.
func (s Subjects) Read() string { return s.read }

// Status is where anyone asks for the cluster's [Status].
func (s Subjects) Status() string { return s.status }

// Report is where anyone asks for the master's report of requests.
func (s Subjects) Report() string { return s.report }

// Recover is where an operator lets the cluster go on with fewer replicas than its rules
// ask for: see [RecoverRequest].
func (s Subjects) Recover() string { return s.recover }

// Remove is where an operator takes a replica out of the cluster: see [RemoveRequest].
func (s Subjects) Remove() string { return s.remove }

// Lead is where an operator has another master lead: see [LeadRequest].
func (s Subjects) Lead() string { return s.lead }

// Led is where a master says to clients that it has begun to lead, in place of a master that has
// not handed over: what was sent to that one and is not answered will not be, and may be sent
// again.
func (s Subjects) Led() string { return s.led }

// ledSuffix ends [Subjects.Led].
const ledSuffix = ".led"

// Beats is where masters say to each other who leads: see [MasterBeat]. It is below those of nodes,
// so that only nodes are let in.
func (s Subjects) Beats() string { return s.node + "masters.beat" }

// Masters is the queue group of the masters: of several, one hears what a client sends.
func (s Subjects) Masters() string { return s.dotted + "masters" }

// Node is the one subject on which node n hears everything from other nodes.
func (s Subjects) Node(n lamport.Node) string {
	if n.IsReplica() && int(n) < len(s.ready) {
		return s.ready[n]
	}
	return s.node + n.String()
}

// Nodes matches every node's subject, and nothing else.
func (s Subjects) Nodes() string { return s.nodes }

// OfNodes matches everything below what [Subjects.Nodes] matches, beats of masters included.
func (s Subjects) OfNodes() string { return s.node + ">" }

// Flow is where the events of a watch are acknowledged up to a sequence: an empty message there
// says that they have come. The replica n serves the watch, whose request has this rID.
func (s Subjects) Flow(n lamport.Node, rid, sequence uint64) string {
	b := append(make([]byte, 0, len(s.flow)+48), s.flow...)
	b = append(append(b, n.String()...), '.')
	b = append(strconv.AppendUint(b, rid, 10), '.')
	return string(strconv.AppendUint(b, sequence, 10))
}

// Flows matches all subjects on which watches of the replica n are acknowledged.
func (s Subjects) Flows(n lamport.Node) string { return s.flow + n.String() + ".>" }

// FlowsOfAll matches all subjects on which watches are acknowledged.
func (s Subjects) FlowsOfAll() string { return s.flow + ">" }

// ParseFlow reads what [Subjects.Flow] writes.
func (s Subjects) ParseFlow(subject string) (n lamport.Node, rid, sequence uint64, ok bool) {
	rest, found := strings.CutPrefix(subject, s.flow)
	parts := strings.Split(rest, ".")
	if !found || len(parts) != 3 {
		return 0, 0, 0, false
	}
	n, err := lamport.ParseNode(parts[0])
	rid, errID := strconv.ParseUint(parts[1], 10, 64)
	sequence, errSequence := strconv.ParseUint(parts[2], 10, 64)
	isSound := err == nil && errID == nil && errSequence == nil
	return n, rid, sequence, isSound && n.IsReplica()
}

// Change is where a committed change of a key is published, with --publish-changes. Dots in the
// key separate tokens as they do in a subject; what no subject can hold is percent-encoded.
func (s Subjects) Change(key string) string { return s.changes + changeTokens(key) }

// Changes matches what [Subjects.Change] returns for all keys.
func (s Subjects) Changes() string { return s.changes + ">" }

// changeTokens is a key as the tokens of a subject. Two keys never have the same: a percent sign is
// encoded, too, and an empty token is %00, which no key holds.
func changeTokens(key string) string {
	b := make([]byte, 0, len(key)+8)
	previous := '.'
	for _, r := range key {
		isNoneOfASubject := r == '*' || r == '>' || r == '%' || unicode.IsSpace(r)
		switch {
		case r == '.' && previous == '.':
			b = append(b, "%00."...)
		case isNoneOfASubject:
			for _, c := range []byte(string(r)) {
				b = fmt.Appendf(b, "%%%02X", c)
			}
		default:
			b = utf8.AppendRune(b, r)
		}
		previous = r
	}
	if previous == '.' {
		b = append(b, "%00"...)
	}
	return string(b)
}

// Buckets begins the subjects on which clients of NATS key-value buckets are served, with its dot.
func (s Subjects) Buckets() string { return s.dotted + "kv." }

// Shadow begins the subjects on which streams are told the changes of buckets, with its dot: only
// the master may publish there.
func (s Subjects) Shadow() string { return s.dotted + "shadow." }

// Shadows matches all of those.
func (s Subjects) Shadows() string { return s.dotted + "shadow.>" }

// All matches everything that quartet says and hears, except replies to clients.
func (s Subjects) All() string { return s.all }

// Reserved reports whether subject is one on which nobody may publish because a client
// asked for it: anything at or under the prefix, anything that begins with "$", and
// what is no publishable subject at all (empty tokens, wildcards, blanks, control
// characters, bytes that are not UTF-8). The master asks it of every reply subject.
func (s Subjects) Reserved(subject string) bool {
	return !plainSubject(subject) || subject[0] == '$' ||
		subject == s.prefix || strings.HasPrefix(subject, s.dotted)
}

// IsPlain reports whether s is a subject, or the tokens of one, that names exactly one.
func IsPlain(s string) bool { return plainSubject(s) }

// plainSubject reports whether s is one or more non-empty tokens that name exactly one
// subject. It is stricter than the bus, which lets a wildcard character stand inside a token.
func plainSubject(s string) bool {
	previous := rune('.')
	for _, r := range s {
		switch {
		case r == '.' && previous == '.', r == '*', r == '>', r == utf8.RuneError,
			unicode.IsSpace(r), unicode.IsControl(r):
			return false
		}
		previous = r
	}
	return previous != '.' // also false for ""
}
