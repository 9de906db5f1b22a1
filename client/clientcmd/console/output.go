package console

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"sync/atomic"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"quartet/bus"
	"quartet/bus/host/exit"
	"quartet/bus/model"
	"quartet/client"
)

// Output is stdout for all commands. It knows whether anything was written, so that who
// reads JSON has an object from a command that failed before it had anything to say. It may
// be used by several goroutines as far as what it writes to may.
type Output struct {
	to    io.Writer
	wrote atomic.Bool
}

// NewOutput returns an Output that writes to w.
func NewOutput(w io.Writer) *Output { return &Output{to: w} }

// Write implements io.Writer.
func (o *Output) Write(b []byte) (int, error) {
	if len(b) > 0 {
		o.wrote.Store(true)
	}
	return o.to.Write(b)
}

// File returns the file below w, if there is one.
func File(w any) (*os.File, bool) {
	if o, ok := w.(*Output); ok {
		w = o.to
	}
	f, ok := w.(*os.File)
	return f, ok
}

// lists are the commands whose JSON document is an array.
var lists = map[string]bool{
	"client": true, "shell": true, "demo": true, "bench": true, "compare": true, "check": true, "list": true, "watch": true,
}

// Failed writes why cmd, called with args, has ended with err and this exit status, if it was
// to print JSON and has printed nothing: one object, in an array where the document is one.
// What has been said, or cannot be written, is passed over: the exit status and stderr tell.
func (o *Output) Failed(cmd *cobra.Command, args []string, err error, status int) {
	if err == nil || err.Error() == "" || o.wrote.Load() {
		return
	}
	out := outputOf(cmd, args)
	if !out.Objects() {
		return
	}
	list := out == JSON && lists[cmd.Name()]
	var b bytes.Buffer
	if list {
		out = JSONL
		b.WriteString("[\n")
	}
	if out.Object(&b, failed(err, status)) != nil {
		return
	}
	if list {
		b.WriteString("]\n")
	}
	_, _ = o.Write(b.Bytes())
}

// outputOf is the flag -o of cmd; "" if it has none. A mistake in an earlier flag ends the
// reading of all flags: then args say what was asked for.
func outputOf(cmd *cobra.Command, args []string) Format {
	flag := cmd.Flags().Lookup("output")
	switch {
	case flag == nil:
		return ""
	case flag.Changed:
		return Format(flag.Value.String())
	}
	var out Format
	again := pflag.NewFlagSet("", pflag.ContinueOnError)
	again.SetOutput(io.Discard)
	again.Usage = func() {}
	again.ParseErrorsAllowlist.UnknownFlags = true
	out.Flag(again)
	_ = again.Parse(args) // what is wrong has been found already
	return out
}

// failed is the end of a command with nothing to show for it.
//
// The error is one line: remedies, which stderr has on lines of their own, follow it.
func failed(err error, status int) bus.JSONReply {
	out := bus.JSONReply{Ack: bus.AckFail, Code: uint16(codeOf(err)), Error: oneLine(reason(err))}
	switch unknown := status == exit.StatusUnknown || errors.Is(err, client.ErrUnknownOutcome); {
	case unknown:
		out.Ack, out.Code = ackUnknown, uint16(model.Unknown)
	case out.Code != 0:
	case status == exit.StatusUsage:
		out.Code = uint16(model.Malformed)
	case status == exit.StatusNoCluster:
		out.Code = uint16(model.Unavailable)
	}
	return out
}

// oneLine joins the lines of a text.
func oneLine(text string) string { return strings.ReplaceAll(text, "\n", "; ") }
