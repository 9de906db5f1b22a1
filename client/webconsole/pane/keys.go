package pane

import (
	"encoding/hex"
	"html/template"
	"net/url"
	"time"
	"unicode"
	"unicode/utf8"

	"quartet/bus"
	"quartet/bus/model"
	"quartet/bus/readable"
)

// Keys is what the view of keys shows.
type Keys struct {
	Prefix, Contains string
	Model            model.Consistency
	Items            []model.Item
	Looked           int    // keys that were looked at
	Next             string // where the list goes on; "": that is all
	Notice           *Notice
}

// choice is a model that can be chosen.
type choice struct {
	Number int
	Word   string
	Chosen bool
}

func choices(chosen model.Consistency) []choice {
	var list []choice
	for _, c := range model.All {
		list = append(list, choice{int(c), c.Word(), c == chosen})
	}
	return list
}

// Choices are the models, of which one is chosen.
func (k *Keys) Choices() []choice { return choices(k.Model) }

// keyRow is a key in the list.
type keyRow struct {
	Key, Address, Value, Size, Expires string
	Revision                           uint64
}

// Characters of a value that a line shows: of a list, and of a watch.
const (
	listedValue = 80
	toldValue   = 100
)

// shownValue is the beginning of a value as text, most characters at the most.
func shownValue(value []byte, most int) string {
	enough := (most + 1) * utf8.UTFMax // bytes
	if len(value) > enough {
		end := enough // where a character begins: half of one would make text look like bytes
		for end > enough-utf8.UTFMax && !utf8.RuneStart(value[end]) {
			end--
		}
		value = value[:end]
	}
	return short(readable.Text(string(value)), most)
}

// Rows are the keys as they are listed.
func (k *Keys) Rows() []keyRow {
	var rows []keyRow
	for i := range k.Items {
		item := &k.Items[i]
		rows = append(rows, keyRow{
			Key: readable.Text(item.Key), Address: keyAddress(item.Key, k.Model), Value: shownValue(item.Value, listedValue),
			Size: readable.Grouped(uint64(len(item.Value))), Expires: expires(item.Expires), Revision: item.Revision,
		})
	}
	return rows
}

// More is the address of what follows.
func (k *Keys) More() string {
	if k.Next == "" {
		return ""
	}
	q := url.Values{"prefix": {k.Prefix}, "contains": {k.Contains}, "model": {k.Model.Word()}, "from": {k.Next}}
	return "/keys?" + q.Encode()
}

// Watch is the address of the events of these keys.
func (k *Keys) Watch() string {
	q := url.Values{"prefix": {k.Prefix}, "model": {k.Model.Word()}}
	return "/keys/watch?" + q.Encode()
}

func keyAddress(key string, m model.Consistency) string {
	return "/keys/one?" + url.Values{"key": {key}, "model": {m.Word()}}.Encode()
}

// expires says when a value ends, of milliseconds since 1970; "": never.
func expires(ms uint64) string {
	if ms == 0 {
		return ""
	}
	return time.UnixMilli(int64(ms)).UTC().Format("2006-01-02 15:04:05 UTC")
}

// One is what the view of one key shows.
type One struct {
	Key     string
	Model   model.Consistency
	Reply   bus.Reply
	Why     string // it could not be read
	ID      string // Nats-Msg-Id of the next change: a form that is sent twice changes once
	Write   bool
	Token   string
	Notice  *Notice // what came of the last change
	Refused bool
}

// Choices are the models, of which one is chosen.
func (o *One) Choices() []choice { return choices(o.Model) }

// Shown is the key as text.
func (o *One) Shown() string { return readable.Text(o.Key) }

// Found reports whether there is a value.
func (o *One) Found() bool { return o.Reply.Code == model.OK }

// IsText reports whether the value can be changed as text.
func (o *One) IsText() bool {
	v := o.Reply.Value
	if !utf8.Valid(v) {
		return false
	}
	for _, r := range string(v) {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return false
		}
	}
	return true
}

// mostShown is how many bytes are shown of a value that is no text.
const mostShown = 64 << 10

// Value is the value as text, or as its bytes.
func (o *One) Value() string {
	if o.IsText() {
		return string(o.Reply.Value)
	}
	return hex.Dump(o.Reply.Value[:min(len(o.Reply.Value), mostShown)])
}

// Facts are what the reply said beside the value.
func (o *One) Facts() []figure {
	var list []figure
	add := func(label, text string) { list = append(list, figure{Label: label, Figure: text}) }
	r := &o.Reply
	if o.Found() {
		add("size", readable.Grouped(uint64(len(r.Value)))+readable.Gap+"bytes")
	}
	if r.HasRevision {
		add("revision", readable.Grouped(r.Revision))
	}
	if r.HasPosition {
		add("position", readable.Grouped(r.Position))
	}
	if r.Timestamp != 0 {
		add("timestamp", readable.Grouped(r.Timestamp))
	}
	if r.Expires != 0 {
		add("ends", expires(r.Expires))
	}
	if r.Replica != 0 {
		add("read at", r.Replica.String())
	}
	return list
}

// Fragment is the key as it stands in its page.
func (o *One) Fragment() (template.HTML, error) { return Fragment("key-one", o) }

// Told are events of a watch, newest first.
type Told struct {
	Events []model.Event
	At     time.Time
	More   int // events that are not shown
}

type eventRow struct{ Time, Kind, Key, Address, Value, Revision string }

// Rows are the events as they are listed.
func (t *Told) Rows() []eventRow {
	var rows []eventRow
	for i := range t.Events {
		e := &t.Events[i]
		row := eventRow{Time: clock(t.At), Kind: e.Kind.String(), Key: readable.Text(e.Key)}
		if e.Kind.Concerns() {
			row.Address = keyAddress(e.Key, model.Linearizable)
			row.Value = shownValue(e.Value, toldValue)
		}
		if e.Revision != 0 {
			row.Revision = readable.Grouped(e.Revision)
		}
		rows = append(rows, row)
	}
	return rows
}
