package dial

import (
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/natscontext"
	"golang.org/x/net/proxy"

	"quartet/bus"
	"quartet/bus/host/config"
	"quartet/bus/secure"
)

// Options returns what [bus.Dial] needs to connect under the name called.
func (s *Settings) Options(called string, log *slog.Logger) bus.DialOptions {
	return bus.DialOptions{URL: s.URL(), Name: called, Log: log, Connect: s.connect}
}

// connect makes the connection, with the context underneath where there is one.
func (s *Settings) connect(options ...nats.Option) (*nats.Conn, error) {
	options = append([]nats.Option{s.own}, options...)
	if s.file == "" {
		nc, err := nats.Connect(s.URL(), options...)
		return nc, s.ended(err)
	}
	nc, _, err := natscontext.Connect(s.file, options...)
	return nc, s.ended(err)
}

// ended says of a connection that could not be made that our certificate is not valid: the other
// end says so only if its last word is heard.
func (s *Settings) ended(err error) error {
	file := s.Certificate()
	if err == nil || file == "" {
		return err
	}
	c, cerr := secure.Certificate(file)
	if cerr == nil {
		cerr = secure.Valid(c, time.Now())
	}
	if cerr != nil {
		return fmt.Errorf("%w: %s (%s): %w", err, file, s.origin(certName), cerr)
	}
	return err
}

// Certificate is the file with our own certificate, "": we have none.
func (s *Settings) Certificate() string { return expandHome(s.used(certName)) }

// used returns a setting's text, "" where it is set aside.
func (s *Settings) used(n name) string {
	if v := s.values[n]; v.unused == "" {
		return v.text
	}
	return ""
}

// own sets on o everything that does not come from the context, over what the context has set. It
// is the first of the options, so that the caller's own come last.
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

		identity, err := s.identity()
		if err != nil {
			return err
		}
		options = append(options, identity...)
	}

	own := func(n name) string {
		if s.values[n].from == fromContext {
			return ""
		}
		return s.used(n)
	}

	// A certificate and its key are one option: where one of the two is ours, both are set again.
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

// identity returns the option that proves who we are, with the one method that
// [Settings.authenticate] has left in use; none where there is no method.
func (s *Settings) identity() ([]nats.Option, error) {
	switch {
	case s.used(credsName) != "":
		return []nats.Option{nats.UserCredentials(expandHome(s.used(credsName)))}, nil
	case s.used(nkeyName) != "":
		nkey, err := nats.NkeyOptionFromSeed(expandHome(s.used(nkeyName)))
		if err != nil {
			return nil, fmt.Errorf("%w: nkey (%s): %w", ErrSetting, s.origin(nkeyName), err)
		}
		return []nats.Option{nkey}, nil
	case s.used(userName) != "":
		return []nats.Option{nats.UserInfo(s.used(userName), s.used(passName))}, nil
	case s.used(tokenName) != "":
		return []nats.Option{nats.Token(s.used(tokenName))}, nil
	}
	return nil, nil
}

// contextAuthenticates reports whether the context says who we are.
func (s *Settings) contextAuthenticates() bool {
	userInOurURL := hasUser(s.URL()) && s.values[urlName].from != fromContext
	if s.file == "" || userInOurURL {
		return false
	}

	for _, n := range methods {
		if v := s.values[n]; v.text != "" && v.unused == "" {
			return v.from == fromContext
		}

	}
	return true // an nsc lookup, or nothing
}

// socks dials through a SOCKS proxy that a flag or a variable names. (A context's own proxy is set
// by the library.)
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

// Environment returns env with the connection settings of s in place of env's own: what a flag
// said here reaches a child process through its environment, where no list of processes shows it.
// Where s is nil the settings are only taken out.
func (s *Settings) Environment(env []string) []string {
	var out []string
	for _, entry := range env {
		key, _, _ := strings.Cut(entry, "=")
		if !isSettingsVariable(key) {
			out = append(out, entry)
		}
	}
	if s == nil {
		return out
	}

	if token, user, password := s.userInURL(); user != "" || token != "" {
		inURL := [...][2]string{
			{"NATS_TOKEN", token}, {"NATS_USER", user}, {"NATS_PASSWORD", password},
		}
		for _, entry := range inURL {
			if entry[1] != "" {
				out = append(out, entry[0]+"="+entry[1])
			}
		}
	}

	for i := range specs {
		sp := &specs[i]
		text := s.used(sp.name)
		inContext := s.values[sp.name].from == fromContext
		if sp.name == contextName {
			text, inContext = s.file, false
		}
		if sp.env == "" || text == "" || inContext {
			continue // a child that is given the context finds there what is in it
		}
		out = append(out, sp.env+"="+text)
	}
	return out
}

// isSettingsVariable reports whether key is a variable of a connection setting, the nats
// command's or quartet's own.
func isSettingsVariable(key string) bool {
	return slices.ContainsFunc(specs[:], func(sp spec) bool {
		ofTheNATSCommand := sp.env != "" && key == sp.env
		return ofTheNATSCommand || key == config.Variable(sp.flag)
	})
}

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
		case sp.env != "" || v.text == "" || v.from == fromContext: // the child learns it from its environment
		case sp.name == firstName:
			args = append(args, "--"+sp.flag)
		default:
			args = append(args, "--"+sp.flag, v.text)
		}
	}
	return args
}
