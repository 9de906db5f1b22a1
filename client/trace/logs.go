package trace

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"quartet/bus/model"
)

// Errors of [ReadLogs].
var (
	ErrNoLogs   = errors.New("trace: no logs there")
	ErrNotInLog = errors.New("trace: the logs know nothing of this request")
)

// maxLogLine bounds a log's line, in bytes; longer ones end the reading of that log.
const maxLogLine = 4 << 20

// line is a log's line: its values by name.
type line map[string]string

// ReadLogs puts a request's trace together from the logs of all nodes in dir, which must have been
// written at level debug. The nodes' clocks are believed to agree; times are exact to the
// millisecond, and within one millisecond the Lamport clocks decide. The error wraps [ErrNoLogs]
// or [ErrNotInLog].
func ReadLogs(dir string, rid uint64) (*Trace, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("%w: no .log file in %s", ErrNoLogs, dir)
	}
	l := logs{
		rid: rid, id: strconv.FormatUint(rid, 10), trace: &Trace{RID: rid},
		asked: make(map[string]request), holders: make(map[string]bool),
	}

	debug := false
	for _, file := range files {
		node, _, _ := strings.Cut(filepath.Base(file), ".")
		if err := l.read(file, node, &debug); err != nil {
			return nil, err
		}
	}

	switch {
	case !debug:
		return nil, fmt.Errorf("%w: those in %s were not written at level debug (quartet master --log-level debug)",
			ErrNoLogs, dir)
	case len(l.trace.Events) == 0:
		return nil, fmt.Errorf("%w: %d, in %s (older logs are not kept)", ErrNotInLog, rid, dir)
	}
	l.finish()
	return l.trace, nil
}

// request is what a master's log says of a request when it comes.
type request struct {
	at               time.Time
	node, model, typ string
	key              string
}

// logs gathers the story of one request from several logs.
type logs struct {
	rid     uint64
	id      string // rid as logs have it
	trace   *Trace
	asked   map[string]request // by reply subject
	holders map[string]bool    // replicas to which the request was forwarded
	unnamed []Event            // FORWARDs and ANSWERS that name no request
}

// read reads the log of a node, and sets debug if it has lines of level debug.
func (l *logs) read(file, node string, debug *bool) error {
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("trace: %w", err)
	}
	defer f.Close()

	in := bufio.NewScanner(f)
	in.Buffer(make([]byte, 0, 64<<10), maxLogLine)
	for in.Scan() {
		text := in.Text()
		if !strings.Contains(text, "DEBUG") {
			continue
		}
		*debug = true

		got := parse(text)
		out := got["msg"] == "out"
		silent := got["rids"] == ""
		told := got["kind"] == "FORWARD" || got["kind"] == "ANSWERS"
		switch {
		case got["kind"] == KindRequest:
			l.asked[got["reply"]] = request{
				at: at(got), node: node, key: got["key"],
				model: strings.ToLower(got["consistency"]), typ: strings.ToLower(got["request"]),
			}
		case out && silent && told:
			l.unnamed = append(l.unnamed, events(node, got)...)
		case out && slices.Contains(strings.Split(got["rids"], ","), l.id):
			l.out(node, got)
		}
	}
	if err := in.Err(); err != nil {
		return fmt.Errorf("trace: %s: %w", file, err)
	}
	return nil
}

// events returns the messages that a node's line says it has sent, one for each destination.
func events(node string, got line) []Event {
	clock, _, _ := strings.Cut(got["clock"], ".")
	e := Event{At: at(got), From: node, Kind: got["kind"], Others: strings.Count(got["rids"], ",")}
	e.Clock, _ = strconv.ParseUint(clock, 10, 64) // 0: not told

	var list []Event
	for _, to := range strings.Fields(strings.Trim(got["to"], "[]")) {
		e.To = to
		list = append(list, e)
	}
	return list
}

// out adds a message about the request that a node says it has sent.
func (l *logs) out(node string, got line) {
	for _, e := range events(node, got) {
		switch e.Kind {
		case KindReply:
			l.replied(e, got)
			continue
		case "FORWARD":
			l.holders[e.To] = true
		}
		l.trace.Events = append(l.trace.Events, e)
	}
}

// replied adds the reply and, in front of it, the request as it came.
func (l *logs) replied(e Event, got line) {
	t := l.trace
	e.To = ClientLane
	t.Code, _ = strconv.Atoi(got["code"])
	if t.Replica = got["replica"]; t.Replica == "-" {
		t.Replica = ""
	}
	t.Position, _ = strconv.ParseUint(got["position"], 10, 64)
	t.Revision, _ = strconv.ParseUint(got["revision"], 10, 64)
	t.Number, _ = strconv.ParseUint(got["timestamp"], 10, 64)

	if e.Detail = got["code"]; t.Code == int(model.OK) {
		e.Detail = "OK"
	}

	if asked, known := l.asked[got["to"]]; known {
		t.Model, t.Type, t.Key = asked.model, asked.typ, asked.key
		t.Events = append(t.Events, Event{At: asked.at, From: ClientLane, To: asked.node, Kind: KindRequest})
	}
	t.Events = append(t.Events, e)
}

// finish puts the events into their order.
func (l *logs) finish() {
	for i := range l.trace.Events {
		if e := &l.trace.Events[i]; e.Kind == "DATA" && !l.holders[e.From] {
			e.Detail = DetailAcknowledges
		}
	}

	class := func(e Event) int {
		switch e.Kind {
		case KindRequest:
			return -1
		case KindReply:
			return 1
		}
		return 0
	}

	slices.SortStableFunc(l.trace.Events, func(a, b Event) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(class(a), class(b)),
			cmp.Compare(a.Clock, b.Clock), cmp.Compare(a.To, b.To))
	})
	slices.SortStableFunc(l.unnamed, func(a, b Event) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Clock, b.Clock))
	})
	l.trace.passedBy(l.unnamed)
}

// at returns the time of a line; the zero time if it cannot be read.
func at(got line) time.Time {
	t, err := time.Parse(time.RFC3339Nano, got["time"])
	if err != nil {
		return time.Time{}
	}
	return t
}

// parse reads a line in either format that nodes log in.
func parse(text string) line {
	if strings.HasPrefix(text, "{") {
		return parseJSON(text)
	}

	got := make(line)
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimLeft(text, " ") {
		name, rest, found := strings.Cut(text, "=")
		if !found {
			break
		}

		if !strings.HasPrefix(rest, `"`) {
			got[name], text, _ = strings.Cut(rest, " ")
			continue
		}

		quoted, err := strconv.QuotedPrefix(rest)
		if err != nil {
			break
		}
		got[name], _ = strconv.Unquote(quoted) // QuotedPrefix has seen that it can
		text = rest[len(quoted):]
	}
	return got
}

// parseJSON reads a line that is a JSON object; a list becomes its words.
func parseJSON(text string) line {
	var fields map[string]any
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	if dec.Decode(&fields) != nil {
		return nil
	}

	got := make(line, len(fields))
	for name, value := range fields {
		if list, ok := value.([]any); ok {
			words := make([]string, len(list))
			for i := range list {
				words[i] = fmt.Sprint(list[i])
			}
			got[name] = strings.Join(words, " ")
			continue
		}
		got[name] = fmt.Sprint(value)
	}
	return got
}
