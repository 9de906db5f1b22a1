package dial_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"
	"github.com/spf13/pflag"

	"quartet/bus"
	"quartet/bus/dial"
	"quartet/bus/server/servertest"
)

// home makes a home directory with contexts, of which one is selected, and returns its path.
func home(t *testing.T, contexts map[string]string, selected string) string {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, ".config", "nats", "context.txt"), selected+"\n")
	for name, text := range contexts {
		write(t, filepath.Join(dir, ".config", "nats", "context", name+".json"), text)
	}
	return dir
}

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func resolve(t *testing.T, env map[string]string, args ...string) (*dial.Settings, error) {
	t.Helper()
	set := pflag.NewFlagSet("test", pflag.ContinueOnError)
	flags := dial.Add(set)
	if err := set.Parse(args); err != nil {
		t.Fatal(err)
	}
	return flags.Resolve(func(name string) string { return env[name] })
}

// lines returns the list of settings, a line each.
func lines(s *dial.Settings) string {
	var b strings.Builder
	for _, e := range s.List() {
		b.WriteString(e.Name + "=" + e.Value + " < " + e.From)
		if e.Unused != "" {
			b.WriteString(" (" + e.Unused + ")")
		}
		b.WriteString("\n")
	}
	return b.String()
}

func TestTheStrongestSourceWins(t *testing.T) {
	creds := write(t, filepath.Join(t.TempDir(), "a.creds"), "x")
	dir := home(t, map[string]string{
		"prod":  `{"url":"nats://prod:4222","user":"ann","password":"secret","jetstream_domain":"hub","inbox_prefix":"_MINE"}`,
		"other": `{"url":"nats://other:4222","token":"secret"}`,
	}, "prod")
	secret := map[string]string{"HOME": dir, "NATS_CONTEXT": "prod", "NATS_CREDS": creds, "NATS_TOKEN": "t"}

	for name, c := range map[string]struct {
		env  map[string]string
		args []string
		want string
	}{
		"nothing said": {want: "url=nats://127.0.0.1:4222 < default\n"},
		"the selected context": {
			env: map[string]string{"HOME": dir},
			want: "url=nats://prod:4222 < context prod\ncontext=prod < selected with the nats command\n" +
				"user=ann < context prod\npassword=*** < context prod\n" +
				"inbox prefix=_MINE < context prod\nJetStream domain=hub < context prod\n",
		},
		"a URL in the environment unselects it": {
			env:  map[string]string{"HOME": dir, "NATS_URL": "nats://env:1"},
			want: "url=nats://env:1 < NATS_URL\n",
		},
		"no context": {
			env: map[string]string{"HOME": dir}, args: []string{"--context", ""},
			want: "url=nats://127.0.0.1:4222 < default\n",
		},
		"a flag names the context, another the URL": {
			env:  map[string]string{"HOME": dir, "NATS_CONTEXT": "prod", "NATS_URL": "nats://env:1"},
			args: []string{"--context", "other", "--server", "nats://flag:1"},
			want: "url=nats://flag:1 < --nats\ncontext=other < --context\ntoken=*** < context other\n",
		},
		"one way to prove who we are": {
			env: secret,
			want: "url=nats://prod:4222 < context prod\ncontext=prod < NATS_CONTEXT\n" +
				"credentials=" + creds + " < NATS_CREDS\nuser=ann < context prod (NATS_CREDS comes first)\n" +
				"password=*** < context prod (there is no user that it would be of)\n" +
				"token=*** < NATS_TOKEN (NATS_CREDS comes first)\n" +
				"inbox prefix=_MINE < context prod\nJetStream domain=hub < context prod\n",
		},
		"a password from elsewhere": {
			env: map[string]string{"NATS_PASSWORD": "p"}, args: []string{"--user", "bob"},
			want: "url=nats://127.0.0.1:4222 < default\nuser=bob < --user\npassword=*** < NATS_PASSWORD\n",
		},
		"a user in the URL": {
			env: map[string]string{"NATS_CREDS": creds}, args: []string{"-s", "nats://bob:p@h:1,h2:2"},
			want: "url=nats://***@h:1,h2:2 < --nats\ncredentials=" + creds + " < NATS_CREDS (--nats comes first)\n",
		},
		"and a stronger one": {
			env: map[string]string{"NATS_URL": "nats://bob:p@h:1"}, args: []string{"--token", "t"},
			want: "url=nats://h:1 < NATS_URL\ntoken=*** < --token\n",
		},
	} {
		s, err := resolve(t, c.env, c.args...)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := lines(s); got != c.want {
			t.Errorf("%s: got\n%swant\n%s", name, got, c.want)
		}
		if strings.Contains(lines(s), "secret") {
			t.Errorf("%s: a secret is shown", name)
		}
	}
}

func TestMistakesNameTheirPlace(t *testing.T) {
	dir := home(t, map[string]string{
		"urls": `{"urls": "nats://x", "colour": 1}`, "empty": `{"url": " "}`, "nsc": `{"nsc": "nsc://o/a/u"}`,
		"bad": `{"url":`, "lost": `{"url":"nats://x","creds":"/no/such/creds"}`,
	}, "gone")

	for want, args := range map[string][]string{
		"selected with the nats command": nil,
		"there is no file":               {"--context", "nowhere"},
		"is not JSON":                    {"--context", "bad"},
		"want a name":                    {"--context", "../bad"},
		"credentials (context lost)":     {"--context", "lost"},
		"nkey (--nkey)":                  {"--context", "", "--nkey", "/no/such/nkey"},
		"go together":                    {"--context", "", "--tlscert", os.Args[0]},
		"no such field is known":         {"--context", "urls"},
		"(colour, urls: ":                {"--context", "urls"},
		`has no "url"`:                   {"--context", "empty"},
		"which quartet does not ask":     {"--context", "nsc"},
		`url (--nats) is ""`:             {"--nats", ""},
		`is "nats://x,"`:                 {"--nats", "nats://x,"},
		"JetStream domain has no blanks": {"--context", "", "--js-domain", "a.b"},
		"creds":                          {"--context", "", "--creds", "/no/such/creds"},
		"ca":                             {"--context", "", "--tlsca", "/no/such/ca"},
	} {
		_, err := resolve(t, map[string]string{"HOME": dir}, args...)
		ours := errors.Is(err, dial.ErrContext) || errors.Is(err, dial.ErrSetting)
		if !ours || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", args, err, want)
		}
	}
}

// A context without a server serves where a server is named otherwise.
func TestAContextBesideAServer(t *testing.T) {
	dir := home(t, map[string]string{"urls": `{"urls": "nats://x", "user": "u"}`}, "")
	s, err := resolve(t, map[string]string{"HOME": dir}, "--context", "urls", "--nats", "nats://y")
	if err != nil || s.URL() != "nats://y" || !slices.Equal(s.UnknownFields(), []string{"urls"}) {
		t.Errorf("%+v %v", s, err)
	}
	if s, err = resolve(t, map[string]string{"HOME": dir, "NATS_URL": ""}, "--context", ""); err != nil || s.URL() != dial.DefaultURL {
		t.Errorf("nothing is asked for: %+v %v", s, err)
	}
}

// start starts a server that lets in a user, a token's owner, or a key's owner.
func start(t *testing.T, change func(*natsserver.Options)) string {
	t.Helper()
	o := &natsserver.Options{}
	change(o)
	return servertest.Start(t, o).ClientURL()
}

func TestConnections(t *testing.T) {
	users := start(t, func(o *natsserver.Options) { o.Username, o.Password = "ann", "right" })
	token := start(t, func(o *natsserver.Options) { o.Authorization = "letmein" })

	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	public, _ := pair.PublicKey()
	seed, _ := pair.Seed()
	nkey := start(t, func(o *natsserver.Options) { o.Nkeys = []*natsserver.NkeyUser{{Nkey: public}} })
	seedFile := write(t, filepath.Join(t.TempDir(), "seed"), string(seed))

	dir := home(t, map[string]string{
		"users": `{"url":"` + users + `","user":"ann","password":"right","inbox_prefix":"_MINE"}`,
		"wrong": `{"url":"` + users + `","user":"ann","password":"wrong"}`,
	}, "users")

	for name, c := range map[string]struct {
		env  map[string]string
		args []string
		ok   bool
	}{
		"the selected context": {env: map[string]string{"HOME": dir}, ok: true},
		"a wrong context":      {env: map[string]string{"HOME": dir, "NATS_CONTEXT": "wrong"}},
		"put right by the environment": {ok: true, env: map[string]string{
			"HOME": dir, "NATS_CONTEXT": "wrong", "NATS_USER": "ann", "NATS_PASSWORD": "right",
		}},
		"spoilt by a flag": {env: map[string]string{"HOME": dir}, args: []string{"--token", "letmein"}},
		"another server by a flag": {ok: true,
			env:  map[string]string{"HOME": dir, "NATS_CONTEXT": "users"},
			args: []string{"--server", token, "--token", "letmein"},
		},
		"a user in the URL": {ok: true, env: map[string]string{
			"NATS_URL": strings.Replace(users, "://", "://ann:right@", 1),
		}},
		"an nkey": {ok: true, env: map[string]string{"NATS_URL": nkey, "NATS_NKEY": seedFile}},
		"an nkey before a wrong password": {ok: true, env: map[string]string{
			"NATS_URL": nkey, "NATS_NKEY": seedFile, "NATS_USER": "x",
		}},
		"nothing where a user is needed": {env: map[string]string{"NATS_URL": users}},
	} {
		s, err := resolve(t, c.env, c.args...)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}

		nc, err := bus.Dial(t.Context(), s.Options("test", nil))
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}

		if err == nil {
			if inbox := nc.NewInbox(); s.InboxPrefix() != "" && !strings.HasPrefix(inbox, s.InboxPrefix()) {
				t.Errorf("%s: inbox %s", name, inbox)
			}
			nc.Close()
		}
	}
}

// A child hears what its parent was told, and nothing else.
func TestEnvironmentOfAChild(t *testing.T) {
	users := start(t, func(o *natsserver.Options) { o.Username, o.Password = "ann", "right" })
	dir := home(t, map[string]string{"users": `{"url":"` + users + `","user":"ann","password":"right"}`}, "")
	s, err := resolve(t, map[string]string{"HOME": dir, "NATS_TOKEN": "unused"}, "--context", "users",
		"--user", "ann", "--password", "right", "--tlsfirst", "--inbox-prefix", "my.inbox")
	if err != nil {
		t.Fatal(err)
	}

	got := s.Environment([]string{"A=1", "NATS_CREDS=x", "NATS_URL=y", "QUARTET_USER=bob", "QUARTET_NODE_USER=z"})
	context := filepath.Join(dir, ".config", "nats", "context", "users.json")
	want := []string{"A=1", "QUARTET_NODE_USER=z", "NATS_CONTEXT=" + context, "NATS_USER=ann", "NATS_PASSWORD=right"}
	if !slices.Equal(got, want) || !slices.Equal(s.Args(), []string{"--tlsfirst", "--inbox-prefix", "my.inbox"}) {
		t.Errorf("%q, %q, want %q", got, s.Args(), want)
	}
	if got := (*dial.Settings)(nil).Environment([]string{"A=1", "NATS_CREDS=x"}); !slices.Equal(got, []string{"A=1"}) {
		t.Errorf("of none: %q", got)
	}

	// The child reaches the server with what it hears.
	env := map[string]string{}
	for _, entry := range got {
		key, text, _ := strings.Cut(entry, "=")
		env[key] = text
	}
	child, err := resolve(t, env)
	if err != nil {
		t.Fatal(err)
	}
	nc, err := bus.Dial(t.Context(), child.Options("child", nil))
	if err != nil {
		t.Fatal(err)
	}
	nc.Close()

	inURL := dial.To(strings.Replace(users, "://", "://ann:right@", 1))
	got = inURL.Environment(nil)
	if !slices.Contains(got, "NATS_USER=ann") || !slices.Contains(got, "NATS_PASSWORD=right") {
		t.Errorf("a user in the URL: %q", got)
	}

	if nc, err := bus.Dial(t.Context(), child.As("bob", "wrong").Options("child", nil)); err == nil {
		nc.Close()
		t.Error("another user was let in")
	}
}
