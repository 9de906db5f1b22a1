package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"quartet/bus/host/exit"
)

// program is a root command with two commands whose settings are looked at.
type program struct {
	root        *cobra.Command
	out, talk   bytes.Buffer
	dir         string
	memory      bool
	replicas    int
	timeout     time.Duration
	token       string
	consistency string
	yes         bool
	env         map[string]string
}

func newProgram(env map[string]string) *program {
	p := &program{root: &cobra.Command{Use: "quartet", SilenceErrors: true, SilenceUsage: true}, env: env}
	nothing := func(*cobra.Command, []string) error { return nil }

	master := &cobra.Command{Use: "master", Args: cobra.NoArgs, RunE: nothing}
	f := master.Flags()
	f.StringVar(&p.dir, "dir", "data", "")
	f.BoolVar(&p.memory, "memory", false, "")
	f.IntVar(&p.replicas, "replicas", 3, "")
	f.DurationVar(&p.timeout, "timeout", 5*time.Second, "")
	f.StringVar(&p.token, "api-token", "", "")
	f.BoolVar(&p.yes, "yes", false, "")
	Excludes(f, "memory", "dir")
	Secret(f, "api-token")
	FlagOnly(f, "yes")
	f.String("lock", "", "")
	Alone(f, "lock")
	_ = master.MarkFlagRequired("api-token")

	get := &cobra.Command{Use: "get", RunE: nothing}
	get.Flags().StringVar(&p.consistency, "consistency", "linearizable", "")
	get.Flags().Duration("timeout", 6*time.Second, "")
	get.Flags().String("other", "", "")
	p.root.AddCommand(master, get)

	tables := Tables{
		{Name: "master", Commands: []*cobra.Command{master}},
		{Name: "client", Commands: []*cobra.Command{get}, Settings: []string{"consistency", "timeout"}},
	}
	environ := func() (list []string) {
		for name, value := range env {
			list = append(list, name+"="+value)
		}
		slices.Sort(list)
		return list
	}
	e := Env{Stdout: &p.out, Stderr: &p.talk, Getenv: func(n string) string { return env[n] }, Environ: environ}

	FileFlag(p.root)
	p.root.PersistentPreRunE = Before(tables, e)
	p.root.AddCommand(Command(tables, e))
	return p
}

func (p *program) run(args ...string) error {
	p.root.SetArgs(args)
	return p.root.Execute()
}

// file writes a configuration file.
func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "q.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPrecedence(t *testing.T) {
	path := file(t, `
timeout = "1s" # for all
api-token = "of the file"
[master]
replicas = 1_0
timeout = "2s"
dir = '/of/the/file'
[client]
consistency = "causal"
`)

	for name, c := range map[string]struct {
		env  map[string]string
		args []string
		want string // dir memory replicas timeout token
	}{
		"file": {nil, nil, "/of/the/file false 10 2s of the file"},
		"environment over file": {
			map[string]string{"QUARTET_REPLICAS": "5", "QUARTET_API_TOKEN": "env"}, nil, "/of/the/file false 5 2s env",
		},
		"flag over both": {
			map[string]string{"QUARTET_REPLICAS": "5"}, []string{"--replicas", "7"},
			"/of/the/file false 7 2s of the file",
		},
		"an empty variable is none":     {map[string]string{"QUARTET_REPLICAS": ""}, nil, "/of/the/file false 10 2s of the file"},
		"a flag set to its default":     {nil, []string{"--replicas", "3"}, "/of/the/file false 3 2s of the file"},
		"a stronger one excludes":       {nil, []string{"--memory"}, "data true 10 2s of the file"},
		"of the environment, too":       {map[string]string{"QUARTET_MEMORY": "true"}, nil, "data true 10 2s of the file"},
		"a weaker one does not":         {map[string]string{"QUARTET_MEMORY": "true"}, []string{"--dir", "d"}, "d false 10 2s of the file"},
		"a switch that is off does not": {map[string]string{"QUARTET_MEMORY": "false"}, nil, "/of/the/file false 10 2s of the file"},
		"no setting":                    {map[string]string{"QUARTET_YES": "true"}, nil, "/of/the/file false 10 2s of the file"},
	} {
		p := newProgram(c.env)
		if err := p.run(append([]string{"master", "--config", path}, c.args...)...); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}

		got, err := json.Marshal([]any{p.dir, p.memory, p.replicas, p.timeout.String(), p.token, p.yes})
		if text := strings.NewReplacer(`"`, "", "[", "", "]", "", ",", " ").Replace(string(got)); err != nil || text != c.want+" false" {
			t.Errorf("%s: %s, want %s", name, text, c.want)
		}
	}

	p := newProgram(map[string]string{FileVariable: path, "QUARTET_OTHER": "x"})
	if err := p.run("get"); err != nil || p.consistency != "causal" {
		t.Errorf("%q, %v", p.consistency, err)
	}
}

func TestWhatIsWrongIsNamed(t *testing.T) {
	for text, want := range map[string]string{
		"\nlisen = 1":                            `q.toml:2: unknown setting "lisen"`,
		"[master]\n\nconsistency = 'causal'":     `q.toml:3: unknown setting "consistency" in [master]`,
		"[master]\nyes = true":                   `q.toml:2: unknown setting "yes"`,
		"[client]\nother = 'x'":                  `q.toml:2: unknown setting "other"`,
		"[mastr]\nx = 1":                         `q.toml:2: unknown table [mastr] (there are [master], [client])`,
		"[master]\nreplicas = 'many'":            `q.toml:2: `,
		"[master]\nreplicas = 1\nreplicas = 2":   `q.toml:3: replicas stands on line 2 already`,
		"[master]\n[client]\n[master]":           `q.toml:3: [master] begins on line 1 already`,
		"[master]\nreplicas = 1979-05-27":        `q.toml:2: replicas: want`,
		"[master]\ndir = { a = 1 }":              `q.toml:2: dir: want`,
		"[[master]]\n":                           `q.toml:1: [[master]]`,
		"[a.b]\n":                                `q.toml:1: a table has one name`,
		"[master]\na.b = 1":                      `q.toml:2: a.b: a setting has one name`,
		"timeout = \"1s\"\n\n\nreplicas = = 3\n": `q.toml:4: not TOML`,
		"[master":                                `q.toml:1: not TOML`,
	} {
		p := newProgram(map[string]string{"QUARTET_API_TOKEN": "x"})

		path := file(t, text)
		err := p.run("config", "--check", path)
		if exit.Status(err) != exit.StatusUsage || !errors.Is(err, ErrFile) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}

		p = newProgram(map[string]string{"QUARTET_API_TOKEN": "x"})
		err = p.run("master", "--config", path)
		if exit.Status(err) != exit.StatusUsage {
			t.Fatalf("%q: the master: %v", text, err)
		}
		if !strings.Contains(err.Error(), want) && !errors.Is(err, ErrValue) {
			t.Errorf("%q: the master: %v", text, err)
		}
	}

	p := newProgram(map[string]string{"QUARTET_API_TOKEN": "x", "QUARTET_TIMEOUT": "soon"})
	if err := p.run("master"); !errors.Is(err, ErrValue) || !strings.Contains(err.Error(), "QUARTET_TIMEOUT") {
		t.Error(err)
	}
	if err := newProgram(nil).run("master", "--config", "/nowhere"); !errors.Is(err, ErrFile) || !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	two := file(t, "a = 1\n[master]\nb = 2")
	if err := newProgram(nil).run("config", "--check", two); err == nil || strings.Count(err.Error(), "unknown setting") != 2 {
		t.Errorf("all that is wrong is named: %v", err)
	}
}

func TestPrinting(t *testing.T) {
	path := file(t, "[master]\nreplicas = 5\napi-token = 'secret'\ndotted.x = 1\n")
	if err := newProgram(nil).run("config", "--config", path); !errors.Is(err, ErrFile) {
		t.Errorf("a wrong file: %v", err)
	}

	path = file(t, "master.replicas = 5\n[master]\napi_token = 'secret'\n")
	p := newProgram(map[string]string{"QUARTET_TIMEOUT": "9s", "QUARTET_WHAT": "x", "QUARTET_REQUESTS": "y"})
	if err := p.run("config", "--config", path, "-o", "json", "master", "--", "--memory"); err != nil {
		t.Fatal(err)
	}
	var got []Setting
	if err := json.Unmarshal(p.out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}

	want := []Setting{
		{"master", "api-token", "***", path + ":3", "QUARTET_API_TOKEN"},
		{"master", "dir", "data", "default", "QUARTET_DIR"},
		{"master", "memory", "true", "--memory", "QUARTET_MEMORY"},
		{"master", "replicas", "5", path + ":1", "QUARTET_REPLICAS"},
		{"master", "timeout", "9s", "QUARTET_TIMEOUT", "QUARTET_TIMEOUT"},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%+v, want\n%+v", got, want)
	}
	if talk := p.talk.String(); talk != "warning: QUARTET_WHAT is not the variable of any setting\n" {
		t.Errorf("%q", talk)
	}

	for output, want := range map[string]string{
		"table": "[master]   value  from\napi-token  ***",
		"raw":   "dir=data\n",
		"jsonl": `{"command":"get","setting":"timeout","value":"6s","from":"default"`,
	} {
		p := newProgram(nil)
		name := "master"
		if output == "jsonl" {
			name = "get"
		}
		if err := p.run("config", name, "--config", path, "-o", output); err != nil || !strings.Contains(p.out.String(), want) {
			t.Errorf("%s: %v\n%s\nwant in it: %s", output, err, p.out.String(), want)
		}
	}

	if err := newProgram(nil).run("config", "-o", "yaml"); exit.Status(err) != exit.StatusUsage {
		t.Error(err)
	}
	if err := newProgram(nil).run("config", "nothing"); exit.Status(err) != exit.StatusUsage {
		t.Error(err)
	}
}

// A process whose parent has settled everything hears no other place, be it wrong.
func TestAlone(t *testing.T) {
	p := newProgram(map[string]string{"QUARTET_REPLICAS": "many", FileVariable: "/nowhere"})
	if err := p.run("master", "--lock", "x", "--api-token", "y"); err != nil || p.replicas != 3 {
		t.Errorf("%d replicas, %v", p.replicas, err)
	}
}
