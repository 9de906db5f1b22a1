package send

import (
	"fmt"
	"io"
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
		case r.Type != model.Set:
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
		sets := 0
		for _, r := range requests {
			if r.Type == model.Set {
				sets++
			}
		}
		_, err = fmt.Fprintf(w, "%d requests can be sent: %d sets, %d gets\n", len(requests), sets, len(requests)-sets)
	}
	return err
}
