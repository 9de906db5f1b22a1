package securecmd

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"quartet/bus/host/config"
	"quartet/bus/host/exit"
	"quartet/bus/secure"
	"quartet/client/clientcmd/console"
)

// forConsole returns the command console.
func forConsole(env console.Env) *cobra.Command {
	var a asked
	var role string
	cmd := &cobra.Command{
		Use:   "console DIR NAME HOST…",
		Short: "Make the certificate of a console in the browser",
		Long: `Make DIR/NAME for quartet console --secure, which browsers reach at these addresses or names,
signed by the authority in DIR. It is a client's: by it the console connects to the cluster,
too, and what its role may not the console does for nobody. A console beside a node
(quartet node --console) needs none: it has the node's.

Exit status: 0 made, 1 it could not be written, 2 wrong usage, or there is one already.`,
		Example: `  quartet secure console certs desk 10.0.0.9
  quartet secure console certs desk desk.example.org --role write`,
		Args: config.UsageArgs(cobra.MinimumNArgs(3)),
		RunE: func(_ *cobra.Command, args []string) error {
			return issue(env, &a, args[0], secure.Asked{Name: args[1], Role: secure.Role(role), Hosts: args[2:]})
		},
	}
	roleFlag(cmd, &role)
	a.flags(cmd)
	return cmd
}

// browser returns the command browser.
func browser(env console.Env) *cobra.Command {
	var out console.Format
	cmd := &cobra.Command{
		Use:   "browser DIR",
		Short: "Write a client's certificate as a browser takes it",
		Long: `Write DIR/browser.p12 (PKCS #12) of the client's certificate and key in DIR, and print its
password, which stands nowhere else; anew if it is there, as after quartet secure renew. It is
encrypted (AES-256): the file without the password is of no use to anybody.

In a browser it goes into "Your certificates", and DIR/ca.crt into "Authorities", trusted
for web sites; then the console of a closed cluster opens, for what the certificate's role
may. Firefox: Settings, Privacy & Security, View Certificates. Chromium on Linux:
chrome://settings/certificates; Chrome on Windows and macOS takes the system's.

Exit status: 0 written, 1 it could not be written, 2 wrong usage, or it is no client's.`,
		Example: `  quartet secure browser certs/read
  quartet secure browser certs/billing -o json`,
		Args: config.UsageArgs(cobra.ExactArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			i, err := secure.Open(args[0], nil)
			if err != nil {
				return noUse(err)
			}
			file, password, err := i.ForBrowser()
			if err != nil {
				return refused(err)
			}
			return shown(env, out, file, password)
		},
	}
	out.Flag(cmd.Flags())
	return cmd
}

// noUse gives an error of a directory that cannot be used the status of wrong usage.
func noUse(err error) error {
	if errors.Is(err, secure.ErrEnded) {
		err = fmt.Errorf("%w (quartet secure renew)", err)
	}
	return exit.Usage(err)
}

// shown says where the file is, and its password; raw is the password alone.
func shown(env console.Env, out console.Format, file, password string) error {
	if out.Objects() {
		return out.Object(env.Stdout, map[string]any{"file": file, "password": password})
	}
	line := fmt.Sprintf("%s  password %s\n", file, password)
	if out == console.Raw {
		line = password + "\n"
	}
	if _, err := fmt.Fprint(env.Stdout, line); err != nil {
		return fmt.Errorf("say what was made: %w", err)
	}
	return nil
}
