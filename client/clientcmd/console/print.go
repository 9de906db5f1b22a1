package console

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/fatih/color"
	"github.com/mattn/go-isatty"

	"quartet/bus"
	"quartet/bus/model"
	"quartet/client"
	"quartet/client/requestfile"
)

// Terminal reports whether w is one.
func Terminal(w any) bool {
	f, ok := File(w)
	return ok && isatty.IsTerminal(f.Fd())
}

// Printer writes replies to stdout, one after the other whoever calls it.
type Printer struct {
	mu     sync.Mutex
	out    io.Writer
	talk   io.Writer // for what is no data, with raw
	Format Format
	paint  Palette
	Before func()        // is called before each reply: takes the progress line away
	Token  func() string // of the session, after each reply; nil: objects do not say it
	first  bool          // nothing was printed yet
	array  Array
}

// NewPrinter returns a printer of replies in format f.
func NewPrinter(env Env, f Format) *Printer {
	return &Printer{
		out: env.Stdout, talk: env.Stderr, Format: f, first: true, array: Array{As: f},
		paint: Palette{on: f == Table && coloured(env, env.Stdout)},
	}
}

// Print writes one request's end. The error is the writer's.
func (p *Printer) Print(name string, r client.Request, result client.Result, failure error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.Before != nil {
		p.Before()
	}

	var b []byte
	switch p.Format {
	case JSON, JSONL:
		b = p.array.Frame(p.appendJSON(nil, name, r, result, failure))
	case Raw:
		result.Body = textOf(&result)
		if result.Code != model.OK {
			_, err := fmt.Fprintf(p.talk, "%s: %s\n", name, Printable([]byte(failure.Error())))
			return err
		}
		b = append(append(b, Data(&r, &result)...), '\n')
	default:
		if !p.first {
			b = append(b, '\n')
		}
		result.Body = textOf(&result)
		b = p.appendBlock(b, name, r, result, failure)
	}

	p.first = false
	_, err := p.out.Write(b)
	return err
}

// textOf is the body of a reply as text has it: a list is lines.
func textOf(result *client.Result) []byte {
	if result.Type != model.List || result.Code != model.OK {
		return result.Body
	}
	page, err := result.Page()
	if err != nil {
		return result.Body
	}
	return bytes.TrimSuffix(bus.TextPage(&page), []byte("\n"))
}

// End closes what print has begun, and returns failure and the writer's error. Nothing is
// printed after it, but for a failure before there was anything to print: see [Output].
func (p *Printer) End(failure error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.Before != nil {
		p.Before()
	}
	_, err := io.WriteString(p.out, p.array.End(failure))
	return errors.Join(failure, err)
}

// coloured reports whether w is a terminal whose user wants colour.
func coloured(env Env, w io.Writer) bool { return Terminal(w) && env.Getenv("NO_COLOR") == "" }

// field is one "label: value"; width is what it is padded to, so that the fields of one
// block stand under those of the last.
type field struct {
	label, value string
	width        int
	colour       color.Attribute // color.Reset: plain
}

// appendBlock appends what the original printed of a reply, as three lines of fields.
// The data have a line of their own that begins with "data: ".
func (p *Printer) appendBlock(b []byte, name string, r client.Request, result client.Result, failure error) []byte {
	ack, code := acknowledgement(&result, failure)
	hue := hueOf(ack, code)
	b = p.appendFields(b, []field{
		{"client", name, 18, 0},
		{"replica", result.Replica.String(), 14, 0},
		{"consistency", r.Model.String(), 25, 0},
		{"request", r.Type.String(), 14, 0},
		{"ack", ack, 0, hue},
	})

	body := Data(&r, &result)
	switch {
	case result.Code == 0 && failure != nil:
		body = []byte(failure.Error())
	case result.Code == model.Failed && r.Type == model.Txn:
		body = []byte(reason(failure))
	}
	b = p.appendFields(b, []field{{"data", Printable(body), 0, 0}})

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

func (p *Printer) appendFields(b []byte, fields []field) []byte {
	for i, f := range fields {
		plain := len(f.label) + len(": ") + utf8.RuneCountInString(f.value)
		b = append(b, p.paint.Paint(f.label+":", color.Faint)...)
		b = append(b, ' ')
		b = append(b, p.paint.Paint(f.value, f.colour)...)
		if i < len(fields)-1 {
			b = append(b, strings.Repeat(" ", max(f.width-plain, 0)+2)...)
		}
	}
	return append(b, '\n')
}

// ackUnknown stands where the outcome is unknown and no reply says so.
const ackUnknown = "UNKNOWN"

// acknowledgement is a request's ack and code: those of its reply, and where none came, or
// the last one tells only of a later sending, those of the failure. Code 0: none is known.
func acknowledgement(result *client.Result, failure error) (string, model.Code) {
	saysUnknown := result.Code >= 500 && result.Code != model.Unavailable
	switch {
	case result.Code == model.OK:
		return bus.AckOK, model.OK
	case errors.Is(failure, client.ErrUnknownOutcome) && !saysUnknown:
		return ackUnknown, model.Unknown
	case result.Code != 0:
		return bus.AckFail, result.Code
	}
	return bus.AckFail, codeOf(failure)
}

// codeOf is the code of a definite failure without a reply, 0 where the contract has none.
func codeOf(failure error) model.Code {
	var e *client.Error
	var line *requestfile.Error
	switch {
	case errors.As(failure, &e) && e.Code != 0:
		return e.Code
	case errors.As(failure, &line):
		return line.Code
	case errors.Is(failure, client.ErrNoCluster):
		return model.Unavailable
	}
	return 0
}

// reason is why something failed: without the words about what that means, where it was a
// request.
func reason(failure error) string {
	var e *client.Error
	switch {
	case failure == nil:
		return ""
	case errors.As(failure, &e) && e.Reason != "":
		return e.Reason
	}
	return failure.Error()
}

// hueOf is the colour of an ack with its code.
func hueOf(ack string, code model.Code) color.Attribute {
	switch {
	case ack == bus.AckOK:
		return color.FgGreen
	case ack == ackUnknown, code == model.NotFound:
		return color.FgYellow
	}
	return color.FgRed
}

// OrDash returns s, and a dash where it is empty.
func OrDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// Printable returns body as it is, or as a JSON string where it holds a line end or
// another control character that a terminal would obey. Bytes that are no UTF-8 are
// replaced in such a string; the other formats keep them.
func Printable(body []byte) string {
	s := string(body)
	if !strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsControl(r) || r == '\u2028' || r == '\u2029'
	}) {
		return s
	}
	return string(QuoteJSON(s))
}

// QuoteJSON returns s as a JSON string.
func QuoteJSON(s string) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		return []byte(strconv.Quote(s))
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// Data is what a reply holds, for people and scripts: its body, which of a transaction is a JSON
// object of succeeded and results.
func Data(r *client.Request, result *client.Result) []byte {
	if r.Type != model.Txn || result.Code != model.OK {
		return result.Body
	}
	whole := result.JSON()
	held := bus.JSONReply{Succeeded: whole.Succeeded, Results: whole.Results}
	var line bytes.Buffer
	if err := JSONL.Object(&line, &held); err != nil { // strings and numbers: cannot fail
		return result.Body
	}
	return bytes.TrimSuffix(line.Bytes(), []byte("\n"))
}

// replyObject is a request and its end as -o json and jsonl write it: the fields of a reply
// to a JSON request, then those that only the command knows.
type replyObject struct {
	bus.JSONReply
	Client   string `json:"client"`
	Key      string `json:"key,omitempty"`  // a transaction has none
	Echo     string `json:"echo,omitempty"` // the body of a text set's reply
	Attempts int    `json:"attempts,omitempty"`
}

func (p *Printer) appendJSON(b []byte, name string, r client.Request, result client.Result, failure error) []byte {
	out := replyObject{JSONReply: objectOf(&r, &result, failure), Client: name, Key: r.Key, Attempts: result.Attempts}
	if result.Code == model.OK && r.Type == model.Set && utf8.Valid(result.Body) {
		out.Echo = string(result.Body)
	}
	if p.Token != nil {
		out.Session = p.Token()
	}
	var line bytes.Buffer
	if err := JSONL.Object(&line, &out); err != nil { // strings and numbers: cannot fail
		return fmt.Appendf(b, "{\"error\":%q}\n", err.Error())
	}
	return append(b, line.Bytes()...)
}

// objectOf is the reply as the cluster would have written it, and where none came what is
// known without.
func objectOf(r *client.Request, result *client.Result, failure error) bus.JSONReply {
	out := bus.JSONReply{Error: reason(failure)}
	if result.Code != 0 {
		reply := result.Reply
		reply.History, reply.Session = bus.History{}, "" // a Go session's own business
		out = reply.JSON()
	}
	ack, code := acknowledgement(result, failure)
	out.Ack, out.Code = ack, uint16(code)
	out.Consistency, out.Request = r.Model.String(), r.Type.String()
	return out
}
