package console

import (
	"errors"
	"fmt"
	"strings"

	"quartet/bus"
	"quartet/bus/model"
	"quartet/client"
	"quartet/client/requestfile"
)

// EnvRequests names the variable whose lines, each a request or the name of a file, are
// sent before everything else.
const EnvRequests = "QUARTET_REQUESTS"

// mistakes are errors of request files whose text shows the lines and the places.
type mistakes struct{ error }

func (m mistakes) Error() string { return requestfile.Show(m.error) }

func (m mistakes) Unwrap() error { return m.error }

// Shown is an error of package requestfile whose text shows the lines and the places.
func Shown(err error) error {
	if err == nil {
		return nil
	}
	return mistakes{err}
}

// Read reads all requests before any is sent. It returns every mistake, not the first.
func Read(env Env, also, args []string, override model.Consistency) ([]requestfile.Request, error) {
	loader := requestfile.Loader{Builtin: env.Requests}
	var requests []requestfile.Request
	var mistakes []error

	load := func(what, argument string) {
		got, err := loader.Load(what, argument)
		if err != nil {
			mistakes = append(mistakes, err)
		}
		requests = append(requests, got...)
	}

	for i, line := range strings.Split(env.Getenv(EnvRequests), "\n") {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			load(fmt.Sprintf("%s, line %d", EnvRequests, i+1), line)
		}
	}
	for i, argument := range also {
		load(fmt.Sprintf("--also %d", i+1), argument)
	}
	for i, argument := range args {
		load(fmt.Sprintf("argument %d", i+1), argument)
	}

	if len(mistakes) == 0 && len(requests) == 0 {
		mistakes = append(mistakes, errors.New("nothing to send: give a request like '1, 1, key ::: value' or the name of a request file"))
	}
	if override != 0 {
		for i := range requests {
			requests[i].Model = override
		}
	}

	return requests, Shown(errors.Join(mistakes...))
}

// Outgoing is the request that a line of a file, or an argument, asks for. A list is not sent as a
// text: what JSON says of its keys does not stand in one.
func Outgoing(r requestfile.Request) client.Request {
	return client.Request{Request: r.Request.Request, Text: r.Encoding == bus.Text && r.Type != model.List}
}
