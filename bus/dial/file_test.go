package dial_test

import (
	"path/filepath"
	"testing"

	"github.com/spf13/cobra"

	"quartet/bus/dial"
	"quartet/bus/host/config"
)

// Between a flag and a context of the nats command stand QUARTET_ variables, those of the nats
// command, and a configuration file, in that order.
func TestSettingsOfAFile(t *testing.T) {
	dir := home(t, map[string]string{"prod": `{"url":"nats://prod:1","user":"ann"}`}, "")
	for name, c := range map[string]struct {
		file string
		env  map[string]string
		args []string
		want string
	}{
		"all of it": {
			"nats = 'nats://f:1'\nuser = 'joe'\npassword = 'x'", nil, nil,
			"url=nats://f:1 < F:1\nuser=joe < F:2\npassword=*** < F:3\n",
		},
		"a flag names the server": {
			"nats = 'nats://f:1'\nuser = 'joe'\npassword = 'x'", nil, []string{"--nats", "nats://flag:1"},
			"url=nats://flag:1 < --nats\n",
		},
		"NATS_URL does": {
			"nats = 'nats://f:1'\ntoken = 'x'", map[string]string{"NATS_URL": "nats://env:1"}, nil,
			"url=nats://env:1 < NATS_URL\n",
		},
		"QUARTET_NATS comes before NATS_URL": {
			"", map[string]string{"NATS_URL": "nats://env:1", "QUARTET_NATS": "nats://q:1"}, nil,
			"url=nats://q:1 < QUARTET_NATS\n",
		},
		"a context of a flag": {
			"nats = 'nats://f:1'\nuser = 'joe'", nil, []string{"--context", "prod"},
			"url=nats://prod:1 < context prod\ncontext=prod < --context\nuser=ann < context prod\n",
		},
		"no context says nothing of a server": {
			"nats = 'nats://f:1'\ncontext = 'prod'\nuser = 'joe'", nil, []string{"--context", ""},
			"url=nats://f:1 < F:1\nuser=joe < F:3\n",
		},
		"a context of the file": {
			"context = 'prod'\nuser = 'joe'\n", nil, nil,
			"url=nats://prod:1 < context prod\ncontext=prod < F:1\nuser=joe < F:2\n",
		},
		"who from the environment": {
			"nats = 'nats://f:1'\nuser = 'joe'\npassword = 'x'", map[string]string{"NATS_USER": "bob"}, nil,
			"url=nats://f:1 < F:1\nuser=bob < NATS_USER\npassword=*** < F:3 (it is of another user)\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var flags *dial.Flags
			cmd := &cobra.Command{Use: "get"}
			flags = dial.Add(cmd.Flags())

			path := write(t, filepath.Join(t.TempDir(), "F"), c.file)
			file, err := config.Read(path)
			if err != nil {
				t.Fatal(err)
			}
			file.Path = "F"

			getenv := func(name string) string {
				if name == "HOME" {
					return dir
				}
				return c.env[name]
			}

			if err := cmd.ParseFlags(c.args); err != nil {
				t.Fatal(err)
			}
			tables := config.Tables{{Name: "client", Commands: []*cobra.Command{cmd}, Settings: dial.Names()}}
			if err := tables.Apply(cmd, getenv, file); err != nil {
				t.Fatal(err)
			}
			s, err := flags.Resolve(getenv)
			if err != nil {
				t.Fatal(err)
			}
			if got := lines(s); got != c.want {
				t.Errorf("got\n%s want\n%s", got, c.want)
			}
		})
	}
}
