package clientcmd

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

// format is the flag -o: what goes to stdout.
type format string

const (
	formatTable format = "table" // for people
	formatJSON  format = "json"  // one document: an object, or an array where there may be several
	formatJSONL format = "jsonl" // one object a line
	formatRaw   format = "raw"   // the data alone: values byte for byte, the cluster's own JSON as it came
)

// formats are those that every command with -o knows.
var formats = [...]format{formatTable, formatJSON, formatJSONL, formatRaw}

func (f *format) String() string { return string(*f) }
func (f *format) Type() string   { return "FORMAT" }

func (f *format) Set(s string) error {
	got := format(strings.ToLower(s))
	if got == "text" { // what the table was called
		got = formatTable
	}
	if !slices.Contains(formats[:], got) {
		return fmt.Errorf("unknown format %q (want table, json, jsonl or raw)", s)
	}
	*f = got
	return nil
}

func (f *format) flag(flags *pflag.FlagSet) {
	*f = formatTable
	flags.VarP(f, "output", "o", "table, json (one document), jsonl (an object a line) or raw (the data alone)")
}

// objects reports whether the output is for a program that reads JSON.
func (f format) objects() bool { return f == formatJSON || f == formatJSONL }

// object writes v as one JSON object: over several lines in json, on one in jsonl.
func (f format) object(w io.Writer, v any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if f == formatJSON {
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

// answer writes the JSON object with which the cluster answered: as it came in raw.
func (f format) answer(w io.Writer, body []byte) error {
	var b bytes.Buffer
	var err error
	switch f {
	case formatJSON:
		err = json.Indent(&b, body, "", "  ")
	case formatJSONL:
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

// table is where what is for people goes: nowhere in the other formats.
func (f format) table(stdout io.Writer) io.Writer {
	if f == formatTable {
		return stdout
	}
	return io.Discard
}

// operated prints what came of an operator's command, in the formats for programs.
func (f format) operated(stdout io.Writer, v any) error {
	if f == formatTable {
		return nil
	}
	return f.object(stdout, v)
}

// formatWords completes -o.
func formatWords(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return []cobra.Completion{
		"table\tfor people", "json\tone JSON document", "jsonl\tone JSON object a line", "raw\tthe data alone",
	}, cobra.ShellCompDirectiveNoFileComp
}
