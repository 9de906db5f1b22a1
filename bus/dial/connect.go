package dial

import (
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/natscontext"
	"golang.org/x/net/proxy"

	"quartet/bus"
	"quartet/bus/host/config"
)

// Options returns what [bus.Dial] needs to connect under the name called.
func (s *Settings) Options(called string, log *slog.Logger) bus.DialOptions {
	return bus.DialOptions{URL: s.URL(), Name: called, Log: log, Connect: s.connect}
}

// connect makes the connection, with the context underneath where there is one.
func (s *Settings) connect(options ...nats.Option) (*nats.Conn, error) {
	options = append([]nats.Option{s.own}, options...)
	if s.file == "" {
		return nats.Connect(s.URL(), options...)
	}
	nc, _, err := natscontext.Connect(s.file, options...)
	return nc, err
}

// used returns a setting's text, "" where it is set aside.
func (s *Settings) used(n name) string {
	if v := s.values[n]; v.unused == "" {
		return v.text
	}
	return ""
}

// own sets everything that does not come from the context, over what the context has set.
func (s *Settings) own(o *nats.Options) error {
	if s.values[urlName].from != fromContext {
		o.Servers = nil
		for part := range strings.SplitSeq(s.URL(), ",") {
			o.Servers = append(o.Servers, strings.TrimSpace(part))
		}
	}
	var options []nats.Option
	if !s.contextAuthenticates() {
		o.User, o.Password, o.Token, o.Nkey = "", "", "", ""
		o.UserJWT, o.SignatureCB = nil, nil
		switch {
		case s.used(credsName) != "":
			options = append(options, nats.UserCredentials(expandHome(s.used(credsName))))
		case s.used(nkeyName) != "":
			nkey, err := nats.NkeyOptionFromSeed(expandHome(s.used(nkeyName)))
			if err != nil {
				return fmt.Errorf("%w: nkey (%s): %w", ErrSetting, s.origin(nkeyName), err)
			}
			options = append(options, nkey)
		case s.used(userName) != "":
			options = append(options, nats.UserInfo(s.used(userName), s.used(passName)))
		case s.used(tokenName) != "":
			options = append(options, nats.Token(s.used(tokenName)))
		}
	}
	own := func(n name) string {
		if s.values[n].from == fromContext {
			return ""
		}
		return s.used(n)
	}
	if own(certName) != "" || own(keyName) != "" {
		options = append(options, nats.ClientCert(expandHome(s.used(certName)), expandHome(s.used(keyName))))
	}
	if own(caName) != "" {
		options = append(options, nats.RootCAs(expandHome(own(caName))))
	}
	if own(firstName) != "" {
		options = append(options, nats.TLSHandshakeFirst())
	}
	if own(proxyName) != "" {
		options = append(options, nats.SetCustomDialer(socks(own(proxyName))))
	}
	if own(inboxName) != "" {
		options = append(options, nats.CustomInboxPrefix(own(inboxName)))
	}
	for _, option := range options {
		if err := option(o); err != nil {
			return fmt.Errorf("%w: %w", ErrSetting, err)
		}
	}
	return nil
}

// contextAuthenticates reports whether who we are is as the context says.
func (s *Settings) contextAuthenticates() bool {
	if s.file == "" || hasUser(s.URL()) && s.values[urlName].from != fromContext {
		return false
	}
	for _, n := range methods {
		if v := s.values[n]; v.text != "" && v.unused == "" {
			return v.from == fromContext
		}
	}
	return true // an nsc lookup, or nothing
}

// socks dials through a proxy: a context's own proxy is the library's to set.
type socks string

// Dial implements [nats.CustomDialer].
func (p socks) Dial(network, address string) (net.Conn, error) {
	u, err := url.Parse(string(p))
	if err != nil {
		return nil, fmt.Errorf("%w: SOCKS proxy: %w", ErrSetting, err)
	}
	dialer, err := proxy.FromURL(u, proxy.Direct)
	if err != nil {
		return nil, fmt.Errorf("%w: SOCKS proxy: %w", ErrSetting, err)
	}
	return dialer.Dial(network, address)
}

// JetStream returns the JetStream of the settings' domain on nc.
func (s *Settings) JetStream(nc *nats.Conn) (jetstream.JetStream, error) {
	if domain := s.values[domainName].text; domain != "" {
		return jetstream.NewWithDomain(nc, domain)
	}
	return jetstream.New(nc)
}

// Domain returns the JetStream domain; "": the account's own.
func (s *Settings) Domain() string { return s.values[domainName].text }

// As returns the settings with this user in place of every other way to prove who we are.
// from says where it came from.
func (s *Settings) As(user, password string) *Settings {
	out := *s
	out.values = make(map[name]value, len(s.values))
	for n, v := range s.values {
		out.values[n] = v
	}
	server := s.values[urlName]
	server.text = withoutUser(server.text)
	out.values[urlName] = server
	for _, n := range methods {
		delete(out.values, n)
	}
	out.values[userName] = value{text: user, from: fromFlag}
	out.values[passName] = value{text: password, from: fromFlag}
	return &out
}

// Environment returns env without the variables of connection settings and then, unless s
// is nil, with those that make a child's settings these: what a flag said here a child
// hears from its environment, where no list of processes shows it.
func (s *Settings) Environment(env []string) []string {
	var out []string
	for _, entry := range env {
		key, _, _ := strings.Cut(entry, "=")
		ours := false
		for i := range specs {
			ours = ours || specs[i].env != "" && key == specs[i].env || key == config.Variable(specs[i].flag)
		}
		if !ours {
			out = append(out, entry)
		}
	}
	if s == nil {
		return out
	}
	if token, user, password := s.userInURL(); user != "" || token != "" {
		for _, entry := range [...][2]string{{"NATS_TOKEN", token}, {"NATS_USER", user}, {"NATS_PASSWORD", password}} {
			if entry[1] != "" {
				out = append(out, entry[0]+"="+entry[1])
			}
		}
	}
	for i := range specs {
		sp := &specs[i]
		text := s.used(sp.name)
		if sp.name == contextName {
			text = s.file
		}
		if sp.env == "" || text == "" || sp.name != contextName && s.values[sp.name].from == fromContext {
			continue
		}
		out = append(out, sp.env+"="+text)
	}
	return out
}

// Bare returns the URLs without a user: for an argument of a child, which has the user
// from [Settings.Environment].
func (s *Settings) Bare() string { return withoutUser(s.URL()) }

// userInURL returns the user of the first URL that has one; a user without a password is a token.
func (s *Settings) userInURL() (token, user, password string) {
	for part := range strings.SplitSeq(s.URL(), ",") {
		u, err := url.Parse(strings.TrimSpace(part))
		if err != nil || u.User == nil {
			continue
		}
		if password, given := u.User.Password(); given {
			return "", u.User.Username(), password
		}
		return u.User.Username(), "", ""
	}
	return "", "", ""
}

// Args returns as arguments of a child what no variable can say; none is a secret.
func (s *Settings) Args() []string {
	var args []string
	for i := range specs {
		sp := &specs[i]
		v := s.values[sp.name]
		switch {
		case sp.env != "" || v.text == "" || v.from == fromContext:
		case sp.name == firstName:
			args = append(args, "--"+sp.flag)
		default:
			args = append(args, "--"+sp.flag, v.text)
		}
	}
	return args
}
