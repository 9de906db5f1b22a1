package command

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/fatih/color"
	"github.com/mattn/go-isatty"

	"quartet/bus"
	"quartet/client"
	"quartet/replica/model"
)

// terminal reports whether w is one.
func terminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}

// printer writes replies to stdout, one after the other whoever calls it.
type printer struct {
	mu     sync.Mutex
	out    io.Writer
	talk   io.Writer // for what is no data, with raw
	format format
	paint  palette
	before func()        // is called before each reply: takes the progress line away
	token  func() string // of the session, after each reply; nil: objects do not say it
	first  bool          // nothing was printed yet
}

func newPrinter(env Env, f format) *printer {
	return &printer{
		out: env.Stdout, talk: env.Stderr, format: f, first: true,
		paint: palette{f == formatTable && coloured(env, env.Stdout)},
	}
}

// print writes one request's end. The error is the writer's.
func (p *printer) print(name string, r client.Request, result client.Result, failure error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.before != nil {
		p.before()
	}
	var b []byte
	switch p.format {
	case formatJSON: // the array is closed by end
		b = append(b, "[\n"...)
		if !p.first {
			b = append(b[:0], ",\n"...)
		}
		b = bytes.TrimSuffix(p.appendJSON(b, name, r, result, failure), []byte("\n"))
	case formatJSONL:
		b = p.appendJSON(nil, name, r, result, failure)
	case formatRaw:
		if result.Code != model.OK {
			_, err := fmt.Fprintf(p.talk, "%s: %s\n", name, printable([]byte(failure.Error())))
			return err
		}
		b = append(append(b, result.Body...), '\n')
	default:
		if !p.first {
			b = append(b, '\n')
		}
		b = p.appendBlock(b, name, r, result, failure)
	}
	p.first = false
	_, err := p.out.Write(b)
	return err
}

// end closes what print has begun. Nothing is printed after it.
func (p *printer) end() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.before != nil {
		p.before()
	}
	if p.format != formatJSON {
		return nil
	}
	text := "\n]\n"
	if p.first {
		text = "[]\n"
	}
	_, err := io.WriteString(p.out, text)
	return err
}

// coloured reports whether w is a terminal whose user wants colour.
func coloured(env Env, w io.Writer) bool { return terminal(w) && env.Getenv("NO_COLOR") == "" }

// field is one "label: value"; width is what it is padded to, so that the fields of one
// block stand under those of the last.
type field struct {
	label, value string
	width        int
	colour       color.Attribute // color.Reset: plain
}

// appendBlock appends what the original printed of a reply, as three lines of fields.
// The data have a line of their own that begins with "data: ".
func (p *printer) appendBlock(b []byte, name string, r client.Request, result client.Result, failure error) []byte {
	ack, hue := acknowledgement(result)
	b = p.appendFields(b, []field{
		{"client", name, 18, 0},
		{"replica", orDash(result.Replica), 14, 0},
		{"consistency", r.Consistency.String(), 25, 0},
		{"request", r.Type.String(), 14, 0},
		{"ack", ack, 0, hue},
	})
	body := result.Body
	if result.Code == 0 && failure != nil {
		body = []byte(failure.Error())
	}
	b = p.appendFields(b, []field{{"data", printable(body), 0, 0}})
	fields := []field{{"l_Clock", "-", 18, 0}, {"rID", "-", 14, 0}}
	if result.Code != 0 {
		fields[0].value = result.Clock.String()
		fields[1].value = strconv.FormatUint(result.RID, 10)
	}
	if result.HasPosition {
		fields = append(fields, field{"position", strconv.FormatUint(result.Position, 10), 25, 0})
	}
	if result.Timestamp != 0 {
		fields = append(fields, field{"timestamp", strconv.FormatUint(result.Timestamp, 10), 25, 0})
	}
	if result.Code != 0 && result.Code != model.OK {
		fields = append(fields, field{"code", strconv.Itoa(int(result.Code)), 0, hue})
	}
	return p.appendFields(b, fields)
}

func (p *printer) appendFields(b []byte, fields []field) []byte {
	for i, f := range fields {
		plain := len(f.label) + len(": ") + utf8.RuneCountInString(f.value)
		b = append(b, p.paint.paint(f.label+":", color.Faint)...)
		b = append(b, ' ')
		b = append(b, p.paint.paint(f.value, f.colour)...)
		if i < len(fields)-1 {
			b = append(b, strings.Repeat(" ", max(f.width-plain, 0)+2)...)
		}
	}
	return append(b, '\n')
}

// acknowledgement is a reply's ack; UNKNOWN where no reply came.
func acknowledgement(result client.Result) (string, color.Attribute) {
	switch result.Code {
	case model.OK:
		return bus.AckOK, color.FgGreen
	case 0:
		return "UNKNOWN", color.FgYellow
	case model.NotFound:
		return bus.AckFail, color.FgYellow
	}
	return bus.AckFail, color.FgRed
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// printable returns body as it is, or as a JSON string where it holds a line end or
// another control character that a terminal would obey. Bytes that are no UTF-8 are
// replaced in such a string; the other formats keep them.
func printable(body []byte) string {
	s := string(body)
	if !strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsControl(r) || r == '\u2028' || r == '\u2029'
	}) {
		return s
	}
	return string(quoteJSON(s))
}

func quoteJSON(s string) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		return []byte(strconv.Quote(s))
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// replyObject is a request and its end as -o json and jsonl write it.
type replyObject struct {
	Client      string  `json:"client"`
	Replica     string  `json:"replica,omitempty"`
	Consistency string  `json:"consistency"`
	Request     string  `json:"request"`
	Key         string  `json:"key"`
	Ack         string  `json:"ack"`                   // OK, FAIL; UNKNOWN: no reply came
	Code        uint16  `json:"code,omitempty"`        // 200, or of a FAIL
	Data        *string `json:"data,omitempty"`        // the reply's body
	Binary      []byte  `json:"data_base64,omitempty"` // the reply's body where it is no UTF-8
	Clock       string  `json:"l_Clock,omitempty"`
	RID         uint64  `json:"rID,omitempty"`
	Position    *uint64 `json:"position,omitempty"`
	Timestamp   uint64  `json:"timestamp,omitempty"`
	Attempts    int     `json:"attempts,omitempty"`
	Session     string  `json:"session,omitempty"` // token of the session after it, where --session was given
	Error       string  `json:"error,omitempty"`
}

func (p *printer) appendJSON(b []byte, name string, r client.Request, result client.Result, failure error) []byte {
	ack, _ := acknowledgement(result)
	out := replyObject{
		Client: name, Replica: result.Replica, Consistency: r.Consistency.String(), Request: r.Type.String(),
		Key: r.Key, Ack: ack, Code: uint16(result.Code), RID: result.RID, Timestamp: result.Timestamp, Attempts: result.Attempts,
	}
	if result.Code != 0 {
		out.Clock = result.Clock.String()
		if utf8.Valid(result.Body) {
			body := string(result.Body)
			out.Data = &body
		} else {
			out.Binary = result.Body
		}
	}
	if result.HasPosition {
		out.Position = &result.Position
	}
	if failure != nil {
		out.Error = failure.Error()
	}
	if p.token != nil {
		out.Session = p.token()
	}
	var line bytes.Buffer
	enc := json.NewEncoder(&line)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(out); err != nil { // strings and numbers: cannot fail
		return fmt.Appendf(b, "{\"error\":%q}\n", err.Error())
	}
	return append(b, line.Bytes()...)
}
