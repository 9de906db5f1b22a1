package send

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"quartet/bus/model"
	"quartet/client/clientcmd/console"
	"quartet/client/requestfile"
)

// parsed is a request as --check prints it.
type parsed struct {
	File        string  `json:"file,omitempty"`
	Line        int     `json:"line,omitempty"`
	Consistency string  `json:"consistency"`
	Request     string  `json:"request"`
	Key         string  `json:"key"`
	Value       *string `json:"value,omitempty"`
	Binary      []byte  `json:"value_base64,omitempty"` // of a value that is no UTF-8
}

// checked prints what would be sent.
func checked(w io.Writer, out console.Format, requests []requestfile.Request) error {
	list := make([]parsed, len(requests))
	for i, r := range requests {
		list[i] = parsed{File: r.File, Line: r.Line, Consistency: r.Model.String(), Request: r.Type.String(), Key: r.Key}
		switch value := string(r.Value); {
		case r.Value == nil:
		case utf8.ValidString(value):
			list[i].Value = &value
		default:
			list[i].Binary = r.Value
		}
	}

	var err error
	switch out {
	case console.JSON:
		return out.Object(w, list)
	case console.JSONL:
		for i := 0; i < len(list) && err == nil; i++ {
			err = out.Object(w, list[i])
		}
	case console.Raw:
		for i := 0; i < len(requests) && err == nil; i++ {
			_, err = fmt.Fprintln(w, console.Printable([]byte(sentence(requests[i]))))
		}
	default:
		_, err = fmt.Fprintf(w, "%d requests can be sent: %s\n", len(requests), counts(requests))
	}
	return err
}

// counts says how many requests there are of each type.
func counts(requests []requestfile.Request) string {
	var of [len(model.Types) + 1]int
	for i := range requests {
		of[requests[i].Type]++
	}

	var parts []string
	for _, t := range model.Types {
		n := of[t]
		switch {
		case n == 1:
			parts = append(parts, "1 "+t.Word())
		case n > 1:
			parts = append(parts, fmt.Sprintf("%d %ss", n, t.Word()))
		}
	}
	return strings.Join(parts, ", ")
}
