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

// Read reads all requests before any is sent. It returns every mistake, not the first. What the
// model that overrides theirs cannot do is one, too.
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
		mistakes = append(mistakes, Refused(requests, func(r *model.Request) error { return bus.Check(r) }))
	}

	return requests, Shown(errors.Join(mistakes...))
}

// Answered refuses watches, for commands that send a request after the answer to the one before.
func Answered(requests []requestfile.Request) error {
	return Refused(requests, func(r *model.Request) error {
		if r.Type == model.Watch {
			return errors.New("a watch has no one answer: use quartet watch")
		}
		return nil
	})
}

// Refused returns what why says of requests, each with the request and where it stands.
func Refused(requests []requestfile.Request, why func(*model.Request) error) error {
	var mistakes []error
	for i := range requests {
		r := &requests[i]
		err := why(&r.Request.Request)
		if err == nil {
			continue
		}
		place := ""
		if r.File != "" {
			place = fmt.Sprintf("%s:%d: ", r.File, r.Line)
		}
		mistakes = append(mistakes, fmt.Errorf("%s%s, %s %s: %w", place, r.Model.Word(), r.Type.Word(), QuoteJSON(r.Key), err))
	}
	return errors.Join(mistakes...)
}

// Outgoing is the request that a line of a file, or an argument, asks for. A list is not sent as a
// text: what JSON says of its keys does not stand in one.
func Outgoing(r requestfile.Request) client.Request {
	return client.Request{Request: r.Request.Request, Text: r.Encoding == bus.Text && r.Type != model.List}
}
