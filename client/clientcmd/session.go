package clientcmd

import (
	"fmt"
	"io"

	"github.com/spf13/pflag"

	"quartet/bus"
	"quartet/client"
)

// sessionFlag is --session: a token, "new", or "" where none was given.
type sessionFlag string

func (s *sessionFlag) String() string { return string(*s) }
func (s *sessionFlag) Type() string   { return "TOKEN" }

func (s *sessionFlag) Set(token string) error {
	if _, err := bus.ParseSession(token); err != nil {
		return err
	}
	*s = sessionFlag(token)
	return nil
}

func (s *sessionFlag) flag(f *pflag.FlagSet) {
	f.Var(s, "session", "go on with the session of this `TOKEN`, or begin one that is passed on: new; its token afterwards is told on stderr, or in each object of -o json and jsonl")
}

func (s *sessionFlag) given() bool { return *s != "" }

// resume begins the session that was asked for.
func (s *sessionFlag) resume(c *client.Client) (*client.Session, error) {
	if !s.given() {
		return c.Session(), nil
	}
	return c.Resume(string(*s))
}

// show has objects say the session's token.
func (s *sessionFlag) show(session *client.Session, p *printer) {
	if s.given() {
		p.token = session.Token
	}
}

// tell says the token where it stands in no object.
func (s *sessionFlag) tell(session *client.Session, w io.Writer, out format) {
	if s.given() && !out.objects() {
		fmt.Fprintf(w, "session: %s\n", session.Token())
	}
}
