package dial

import (
	"github.com/spf13/pflag"

	"quartet/bus/host/config"
)

// DefaultURL is where a server is looked for when nothing says.
const DefaultURL = "nats://127.0.0.1:4222"

// name is the name of a setting in lists of settings.
type name string

const (
	urlName     name = "url"
	contextName name = "context"
	credsName   name = "credentials"
	nkeyName    name = "nkey"
	userName    name = "user"
	passName    name = "password"
	tokenName   name = "token"
	certName    name = "certificate"
	keyName     name = "key"
	caName      name = "authorities"
	firstName   name = "tls first"
	proxyName   name = "SOCKS proxy"
	inboxName   name = "inbox prefix"
	domainName  name = "JetStream domain"
)

// spec is one setting: its flag and its variable, as the nats command has them.
type spec struct {
	name   name
	flag   string
	env    string // "": none
	usage  string
	secret bool
	file   bool // its value names a file that must be there
}

// specs are all settings, in the order in which they are listed.
var specs = [...]spec{
	{name: urlName, flag: "nats", env: "NATS_URL", usage: "`URL` of the NATS server, or several joined by commas"},
	{name: contextName, flag: "context", env: "NATS_CONTEXT", usage: "`NAME` of a context of the nats command; '' for none"},
	{name: credsName, flag: "creds", env: "NATS_CREDS", usage: "`FILE` with a user's credentials", file: true},
	{name: nkeyName, flag: "nkey", env: "NATS_NKEY", usage: "`FILE` with a user's nkey seed", file: true},
	{name: userName, flag: "user", env: "NATS_USER", usage: "`USER` to connect as"},
	{name: passName, flag: "password", env: "NATS_PASSWORD", secret: true,
		usage: "its `PASSWORD`; the variable keeps it out of the list of processes"},
	{name: tokenName, flag: "token", env: "NATS_TOKEN", usage: "`TOKEN` to connect with", secret: true},
	{name: certName, flag: "tlscert", env: "NATS_CERT", usage: "`FILE` with our TLS certificate", file: true},
	{name: keyName, flag: "tlskey", env: "NATS_KEY", usage: "`FILE` with its private key", file: true},
	{name: caName, flag: "tlsca", env: "NATS_CA", usage: "`FILE` with the certificate authorities to trust", file: true},
	{name: firstName, flag: "tlsfirst", usage: "begin with TLS, before the server's greeting"},
	{name: proxyName, flag: "socks-proxy", env: "NATS_SOCKS_PROXY", usage: "`URL` of a SOCKS5 proxy", secret: true},
	{name: inboxName, flag: "inbox-prefix", usage: "`SUBJECT` that reply subjects begin with, in place of _INBOX"},
	{name: domainName, flag: "js-domain", usage: "JetStream `DOMAIN` of the server"},
}

// Flags are the settings as flags of one command. Make them with [Add].
type Flags struct {
	set    *pflag.FlagSet
	values map[name]*string
	first  bool
	// Selected lets the context count that is selected with the nats command, though no flag or
	// variable names it. Add sets it.
	Selected bool
}

// Add adds the settings' flags to f, --server as another name of --nats among them.
func Add(f *pflag.FlagSet) *Flags {
	out := &Flags{set: f, values: make(map[name]*string, len(specs)), Selected: true}
	for _, s := range specs {
		usage := s.usage
		if s.env != "" {
			usage += " (" + s.env + ")"
		}

		switch s.name {
		case firstName:
			f.BoolVar(&out.first, s.flag, false, usage)
		case urlName:
			out.values[s.name] = f.StringP(s.flag, "s", "", usage)
		default:
			out.values[s.name] = f.String(s.flag, "", usage)
		}

		if s.secret {
			config.Secret(f, s.flag)
		}
	}

	normal := f.GetNormalizeFunc()
	f.SetNormalizeFunc(func(f *pflag.FlagSet, given string) pflag.NormalizedName {
		if given == "server" {
			given = "nats"
		}
		return normal(f, given)
	})
	return out
}

// Of returns the settings' flags of a set to which [Add] has added them.
func Of(f *pflag.FlagSet) *Flags {
	out := &Flags{set: f, values: make(map[name]*string, len(specs)), Selected: true}
	for _, s := range specs {
		flag := f.Lookup(s.flag)
		if flag == nil {
			continue
		}
		text := flag.Value.String()
		out.values[s.name] = &text
		if s.name == firstName {
			out.first = text == "true"
		}
	}
	return out
}

// Names returns the names of all the flags that [Add] adds.
func Names() []string {
	var list []string
	for i := range specs {
		list = append(list, specs[i].flag)
	}
	return list
}

// strength returns how strong the source is from which a flag has its value, and where that is:
// --FLAG, QUARTET_NAME or FILE:LINE.
func (f *Flags) strength(flag string) (source, string) {
	switch level, where := config.Origin(f.set.Lookup(flag)); level {
	case config.FromFile:
		return fromFile, where
	case config.FromEnvironment:
		return fromEnvironment, where
	}
	return fromFlag, "--" + flag
}

// Asked reports whether a flag names a server or a context.
func (f *Flags) Asked() bool {
	server := f.set.Changed("nats") && *f.values[urlName] != ""
	context := f.set.Changed("context") && *f.values[contextName] != ""
	return server || context
}

// Given returns the names of the flags that were given.
func (f *Flags) Given() []string {
	var given []string
	for i := range specs {
		if _, ok := f.flag(&specs[i]); ok {
			given = append(given, specs[i].flag)
		}
	}
	return given
}

// flag returns what a flag was given as, "true" of a switch, and whether it was given.
func (f *Flags) flag(s *spec) (string, bool) {
	if f.set == nil || !f.set.Changed(s.flag) {
		return "", false
	}

	if s.name == firstName {
		if f.first {
			return "true", true
		}
		return "", true
	}
	return *f.values[s.name], true
}
