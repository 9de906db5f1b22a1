package dial

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/synadia-io/orbit.go/natscontext"

	"quartet/bus"
)

// Errors of [Flags.Resolve].
var (
	ErrContext = errors.New("bus/dial: cannot use the context")
	ErrSetting = errors.New("bus/dial: wrong connection setting")
)

// source is how strong a setting is. The greater one wins.
type source uint8

const (
	nowhere source = iota
	fromDefault
	fromContext
	fromFile // package config's
	fromEnvironment
	fromFlag
)

// Setting is one setting of a connection and where it came from.
type Setting struct {
	Name   string `json:"name"`
	Value  string `json:"value"`            // of a secret, "***"
	From   string `json:"from"`             // --creds, NATS_CREDS, context NAME, default
	Unused string `json:"unused,omitempty"` // why it is set aside; "": it is used
}

// value is a setting as it was found: its text and the source of that.
type value struct {
	text   string
	from   source
	where  string // of a flag that has its value from elsewhere; "": as from says
	unused string
}

// Settings say how to reach a server. Make them with [Flags.Resolve] or [To].
type Settings struct {
	values   map[name]value
	context  string   // the context's name, "": none
	file     string   // absolute, of the context
	selected bool     // the context is one that nobody asked for by name
	unknown  []string // fields of the context's file that no version known here has, sorted
}

// To returns the settings that reach url with nothing else said.
func To(url string) *Settings {
	return &Settings{values: map[name]value{urlName: {text: url, from: fromFlag}}}
}

// Resolve puts together what flags, environment, context and defaults say. getenv is [os.Getenv]
// or a stand-in. The error wraps [ErrContext] or [ErrSetting] and says which setting is wrong and
// where it stands.
func (f *Flags) Resolve(getenv func(string) string) (*Settings, error) {
	s := &Settings{values: make(map[name]value, len(specs))}
	given := func(sp *spec) value {
		var v value
		if text, ok := f.flag(sp); ok {
			v.text = text
			v.from, v.where = f.strength(sp.flag)
		}

		// NATS_ variables are stronger than a file, and weaker than a flag and a QUARTET_
		// variable.
		if v.from < fromEnvironment && sp.env != "" {
			if text := getenv(sp.env); text != "" {
				return value{text: text, from: fromEnvironment, where: sp.env}
			}
		}

		return v
	}
	for i := range specs {
		s.values[specs[i].name] = given(&specs[i])
	}

	// The context fills in what nothing stronger has said.
	s.ofOneServer()

	config, err := s.loadContext(f.Selected, getenv)
	if err != nil {
		return nil, err
	}
	for i := range specs {
		sp := &specs[i]
		if text := inContext(config, sp.name); s.values[sp.name].from == nowhere && text != "" {
			s.values[sp.name] = value{text: text, from: fromContext}
		}
	}

	if err := s.serverless(config); err != nil {
		return nil, err
	}

	if s.values[urlName].text == "" {
		s.values[urlName] = value{text: DefaultURL, from: fromDefault}
	}

	s.authenticate(config, given)
	return s, s.check()
}

// serverless refuses settings that ask for a server and name none: the default server would
// be another one. A variable that is empty counts as one that is not set.
func (s *Settings) serverless(config *natscontext.Settings) error {
	server := s.values[urlName]
	for part := range strings.SplitSeq(server.text, ",") {
		said := server.from == fromFlag || server.text != ""
		if said && strings.TrimSpace(part) == "" {
			return fmt.Errorf("%w: %s (%s) is %q: want the URL of a server, or several joined by commas",
				ErrSetting, urlName, s.origin(urlName), server.text)
		}
	}

	if config == nil || server.text != "" {
		return nil
	}

	lacks := `has no "url"`
	if config.NSCLookup != "" {
		lacks = fmt.Sprintf("leaves the server to nsc (%s), which quartet does not ask", config.NSCLookup)
	}
	if len(s.unknown) > 0 {
		lacks += fmt.Sprintf(" (%s: no such field is known)", strings.Join(s.unknown, ", "))
	}

	return fmt.Errorf("%w %q: %s: its file %s %s: write the server into it as \"url\","+
		" name one with --nats, or leave the context out with --context ''",
		ErrContext, s.context, s.whereContext(), s.file, lacks)
}

// unknownFields returns the names of the fields of the JSON object b that a context does not have,
// sorted.
func unknownFields(b []byte) []string {
	var fields map[string]json.RawMessage
	if json.Unmarshal(b, &fields) != nil {
		return nil
	}

	t := reflect.TypeFor[natscontext.Settings]()
	for i := range t.NumField() {
		known, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		for name := range fields {
			if strings.EqualFold(name, known) { // as the decoder takes them
				delete(fields, name)
			}
		}
	}
	return slices.Sorted(maps.Keys(fields))
}

// UnknownFields returns the names of the fields of the context's file that say nothing here.
func (s *Settings) UnknownFields() []string { return s.unknown }

// ContextFile returns the path of the context's file; "" where there is no context.
func (s *Settings) ContextFile() string { return s.file }

// ofOneServer drops what the configuration file says of a connection, where a flag or the
// environment names a server or a context: no credentials go to a server that they may not
// be for.
func (s *Settings) ofOneServer() {
	named := func(n name) bool { return s.values[n].text != "" && s.values[n].from > fromFile }
	if !named(urlName) && !named(contextName) { // --context '' names none
		return
	}

	for n, v := range s.values {
		if v.from == fromFile {
			s.values[n] = value{}
		}
	}
}

// loadContext finds the context's file and reads it; it returns nil where no context is named.
// selected lets the context count that is selected with the nats command.
func (s *Settings) loadContext(selected bool, getenv func(string) string) (*natscontext.Settings, error) {
	asked := s.values[contextName]
	s.context = asked.text
	folder := configFolder(getenv)

	// What is selected counts only where neither a context nor a server is named.
	unasked := asked.from == nowhere && s.values[urlName].from == nowhere
	if unasked && selected && folder != "" {
		if b, err := os.ReadFile(filepath.Join(folder, "context.txt")); err == nil {
			s.context, s.selected = strings.TrimSpace(string(b)), true
		}
	}
	if s.context == "" {
		return nil, nil
	}

	switch {
	case filepath.IsAbs(s.context):
		s.file = s.context
		s.context = strings.TrimSuffix(filepath.Base(s.file), filepath.Ext(s.file))
	case strings.Contains(s.context, "..") || strings.ContainsRune(s.context, filepath.Separator):
		return nil, fmt.Errorf("%w %q: %s: want a name, or the absolute path of a file", ErrContext, s.context, s.whereContext())
	case folder == "":
		return nil, fmt.Errorf("%w %q: %s: no home directory to look for it", ErrContext, s.context, s.whereContext())
	default:
		s.file = filepath.Join(folder, "context", s.context+".json")
	}

	b, err := os.ReadFile(s.file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w %q: %s: there is no file %s (list contexts with: nats context ls)",
			ErrContext, s.context, s.whereContext(), s.file)
	case err != nil:
		return nil, fmt.Errorf("%w %q: %s: %w", ErrContext, s.context, s.whereContext(), err)
	}

	config := new(natscontext.Settings)
	if err := json.Unmarshal(b, config); err != nil {
		return nil, fmt.Errorf("%w %q: %s is not JSON: %w", ErrContext, s.context, s.file, err)
	}

	s.unknown = unknownFields(b)
	config.URL = strings.TrimSpace(config.URL)
	config.Creds = os.Expand(config.Creds, getenv)
	return config, nil
}

// whereContext says who named the context.
func (s *Settings) whereContext() string {
	if s.selected {
		return "it is selected with the nats command"
	}
	return s.origin(contextName)
}

// configFolder returns the folder in which the nats command keeps contexts; "" where there is no
// home directory.
func configFolder(getenv func(string) string) string {
	if dir := getenv("XDG_CONFIG_HOME"); dir != "" {
		return filepath.Join(dir, "nats")
	}
	if home := getenv("HOME"); home != "" {
		return filepath.Join(home, ".config", "nats")
	}
	return ""
}

// Contexts returns the names of the contexts that the nats command keeps, sorted.
func Contexts(getenv func(string) string) []string {
	files, err := filepath.Glob(filepath.Join(configFolder(getenv), "context", "*.json"))
	if err != nil {
		return nil
	}
	var names []string
	for _, file := range files {
		names = append(names, strings.TrimSuffix(filepath.Base(file), ".json"))
	}
	return names
}

// inContext returns what the context c says of a setting; "" where it says nothing or is nil.
func inContext(c *natscontext.Settings, n name) string {
	if c == nil {
		return ""
	}

	switch n {
	case urlName:
		return c.URL
	case credsName:
		return c.Creds
	case nkeyName:
		return c.NKey
	case userName:
		return c.User
	case passName:
		return c.Password
	case tokenName:
		return c.Token
	case certName:
		return c.Cert
	case keyName:
		return c.Key
	case caName:
		return c.CA
	case firstName:
		if c.TLSFirst {
			return "true"
		}
	case proxyName:
		return c.SocksProxy
	case inboxName:
		return c.InboxPrefix
	case domainName:
		return c.JSDomain
	}
	return ""
}

// methods are the ways to prove who we are. Where one source gives several, the earliest in this
// list counts.
var methods = [...]name{credsName, nkeyName, userName, tokenName}

// authenticate chooses one way to prove who we are, the one from the strongest source, and sets
// the others aside. Of a user in the URL and another method, the stronger source wins.
func (s *Settings) authenticate(config *natscontext.Settings, given func(*spec) value) {
	winner, strongest := name(""), nowhere
	for _, n := range methods {
		if v := s.values[n]; v.text != "" && v.from > strongest {
			winner, strongest = n, v.from
		}
	}

	server := s.values[urlName]
	switch {
	case !hasUser(server.text):
	case server.from > strongest:
		winner = urlName
	case winner != "":
		server.text = withoutUser(server.text)
		s.values[urlName] = server
	}

	for _, n := range methods {
		if v := s.values[n]; n != winner && v.text != "" {
			v.unused = fmt.Sprintf("%s comes first", s.origin(winner))
			s.values[n] = v
		}
	}

	password := s.values[passName]

	switch {
	case password.text == "":
	case winner != userName:
		password.unused = "there is no user that it would be of"
	case password.from <= fromFile && strongest != password.from:
		password.unused = "it is of another user"
	}
	s.values[passName] = password
}

// check refuses settings that cannot work: files that are not there, half of a TLS pair, a
// domain that no subject can carry.
func (s *Settings) check() error {
	for i := range specs {
		sp := &specs[i]
		v := s.values[sp.name]
		if !sp.file || v.text == "" || v.unused != "" {
			continue
		}
		if _, err := os.Stat(expandHome(v.text)); err != nil {
			return fmt.Errorf("%w: %s (%s): %w", ErrSetting, sp.name, s.origin(sp.name), err)
		}
	}

	if (s.values[certName].text == "") != (s.values[keyName].text == "") {
		return fmt.Errorf("%w: a TLS certificate and its key go together:"+
			" give both --tlscert (NATS_CERT) and --tlskey (NATS_KEY)", ErrSetting)
	}
	if domain := s.values[domainName].text; strings.ContainsAny(domain, " \t.*>") {
		return fmt.Errorf("%w: %s (%s) is %q: a JetStream domain has no blanks, dots or wildcards",
			ErrSetting, domainName, s.origin(domainName), domain)
	}
	return nil
}

// origin says where a setting came from.
func (s *Settings) origin(n name) string {
	for i := range specs {
		if specs[i].name != n {
			continue
		}
		switch s.values[n].from {
		case fromFile:
			return s.values[n].where
		case fromFlag:
			return "--" + specs[i].flag
		case fromEnvironment:
			return s.values[n].where
		case fromContext:
			return "context " + s.context
		case fromDefault:
			return "default"
		}
	}
	return ""
}

// List returns what is set, in a fixed order, without secrets.
func (s *Settings) List() []Setting {
	var out []Setting
	for i := range specs {
		sp := &specs[i]
		v := s.values[sp.name]
		from := s.origin(sp.name)

		if sp.name == contextName && s.context != "" {
			v.text = s.context
			if s.selected {
				from = "selected with the nats command"
			}
		}

		if v.text == "" {
			continue
		}

		text := bus.Redact(v.text)
		if sp.secret {
			text = "***"
		}
		out = append(out, Setting{Name: string(sp.name), Value: text, From: from, Unused: v.unused})
	}
	return out
}

// URL returns the server's URLs, joined by commas, with a user where one stands in them.
func (s *Settings) URL() string { return s.values[urlName].text }

// Redacted returns URL without secrets.
func (s *Settings) Redacted() string { return bus.Redact(s.URL()) }

// InboxPrefix returns what reply subjects begin with; "": the library's own _INBOX.
func (s *Settings) InboxPrefix() string { return s.values[inboxName].text }

// Given reports whether a flag or the environment names a server or a context.
func (s *Settings) Given() bool {
	aServer := s.values[urlName].from >= fromContext
	aContext := s.context != "" && !s.selected
	return aServer || aContext
}

func hasUser(urls string) bool { return withoutUser(urls) != urls }

// withoutUser cuts user and password out of URLs joined by commas.
func withoutUser(urls string) string {
	parts := strings.Split(urls, ",")
	for i, part := range parts {
		bare := strings.TrimSpace(part)
		if !strings.Contains(bare, "://") {
			bare = "nats://" + bare
		}
		if u, err := url.Parse(bare); err == nil && u.User != nil {
			u.User = nil
			parts[i] = u.String()
		}
	}
	return strings.Join(parts, ",")
}

func expandHome(path string) string {
	rest, found := strings.CutPrefix(path, "~")
	if !found {
		return path
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return path
	}
	return home + rest
}
