package console

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Format is the flag -o: what goes to stdout.
type Format string

const (
	Table Format = "table" // for people
	JSON  Format = "json"  // one document: an object, or an array where there may be several
	JSONL Format = "jsonl" // one object a line
	Raw   Format = "raw"   // the data alone: values byte for byte, the cluster's own JSON as it came
)

// formats are those that every command with -o knows.
var formats = [...]Format{Table, JSON, JSONL, Raw}

// String implements pflag.Value.
func (f *Format) String() string { return string(*f) }

// Type implements pflag.Value.
func (f *Format) Type() string { return "FORMAT" }

// Set implements pflag.Value.
func (f *Format) Set(s string) error {
	got := Format(strings.ToLower(s))
	if got == "text" { // what the table was called
		got = Table
	}
	if !slices.Contains(formats[:], got) {
		return fmt.Errorf("unknown format %q (want table, json, jsonl or raw)", s)
	}
	*f = got
	return nil
}

// Flag adds -o; without it the format is the table.
func (f *Format) Flag(flags *pflag.FlagSet) {
	*f = Table
	flags.VarP(f, "output", "o", "table, json (one document), jsonl (an object a line) or raw (the data alone)")
}

// Objects reports whether the output is for a program that reads JSON.
func (f Format) Objects() bool { return f == JSON || f == JSONL }

// Object writes v as one JSON object: over several lines in json, on one in jsonl.
func (f Format) Object(w io.Writer, v any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if f == JSON {
		enc.SetIndent("", "  ")
	}
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	if _, err := w.Write(b.Bytes()); err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	return nil
}

// Array frames objects that are written one after the other: in json as one array, in jsonl as
// lines.
type Array struct {
	As    Format // [JSON] or [JSONL]
	begun bool
}

// Frame is an object, as JSON, with what stands around it.
func (a *Array) Frame(object []byte) []byte {
	object = bytes.TrimSuffix(object, []byte("\n"))
	switch {
	case a.As == JSONL:
		return append(object, '\n')
	case a.begun:
		return append([]byte(",\n"), object...)
	}
	a.begun = true
	return append([]byte("[\n"), object...)
}

// Encode is [Array.Frame] of v.
func (a *Array) Encode(v any) ([]byte, error) {
	var b bytes.Buffer
	if err := JSONL.Object(&b, v); err != nil {
		return nil, err
	}
	return a.Frame(b.Bytes()), nil
}

// End is what stands behind the last object. It is nothing if failure came before any object: that
// failure is told in its place, see [Output].
func (a *Array) End(failure error) string {
	isTold := failure == nil || failure.Error() == ""
	isElsewhere := !a.begun && !isTold
	switch {
	case a.As != JSON || isElsewhere:
		return ""
	case !a.begun:
		return "[]\n"
	}
	return "\n]\n"
}

// Answer writes the JSON object with which the cluster answered: as it came in raw.
func (f Format) Answer(w io.Writer, body []byte) error {
	var b bytes.Buffer
	var err error
	switch f {
	case JSON:
		err = json.Indent(&b, body, "", "  ")
	case JSONL:
		err = json.Compact(&b, body)
	default:
		b.Write(body)
	}
	if err != nil {
		return fmt.Errorf("the cluster's answer is no JSON: %w", err)
	}
	b.WriteByte('\n')
	if _, err := w.Write(b.Bytes()); err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	return nil
}

// Table is where what is for people goes: nowhere in the other formats.
func (f Format) Table(stdout io.Writer) io.Writer {
	if f == Table {
		return stdout
	}
	return io.Discard
}

// Operated prints what came of an operator's command, in the formats for programs.
func (f Format) Operated(stdout io.Writer, v any) error {
	if f == Table {
		return nil
	}
	return f.Object(stdout, v)
}

// formatWords completes -o.
func formatWords(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return []cobra.Completion{
		"table\tfor people", "json\tone JSON document", "jsonl\tone JSON object a line", "raw\tthe data alone",
	}, cobra.ShellCompDirectiveNoFileComp
}
