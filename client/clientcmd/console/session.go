package console

import (
	"fmt"
	"io"

	"github.com/spf13/pflag"

	"quartet/bus"
	"quartet/client"
)

// SessionFlag is --session: a token, "new", or "" where none was given.
type SessionFlag string

// String implements pflag.Value.
func (s *SessionFlag) String() string { return string(*s) }

// Type implements pflag.Value.
func (s *SessionFlag) Type() string { return "TOKEN" }

// Set implements pflag.Value. What is no token is refused before anything is sent.
func (s *SessionFlag) Set(token string) error {
	if _, err := bus.ParseSession(token); err != nil {
		return err
	}
	*s = SessionFlag(token)
	return nil
}

// Flag adds --session.
func (s *SessionFlag) Flag(f *pflag.FlagSet) {
	f.Var(s, "session",
		"go on with the session of this `TOKEN`, or begin one that is passed on: new; its token afterwards is told "+
			"on stderr, or in each object of -o json and jsonl")
}

// Given reports whether a session was asked for.
func (s *SessionFlag) Given() bool { return *s != "" }

// Resume begins the session that was asked for.
func (s *SessionFlag) Resume(c *client.Client) (*client.Session, error) {
	if !s.Given() {
		return c.Session(), nil
	}
	return c.Resume(string(*s))
}

// Show has objects say the session's token.
func (s *SessionFlag) Show(session *client.Session, p *Printer) {
	if s.Given() {
		p.Token = session.Token
	}
}

// Tell says the token where it stands in no object.
func (s *SessionFlag) Tell(session *client.Session, w io.Writer, out Format) {
	if s.Given() && !out.Objects() {
		fmt.Fprintf(w, "session: %s\n", session.Token())
	}
}
