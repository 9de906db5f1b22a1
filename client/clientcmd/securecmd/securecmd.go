// Package securecmd is the command secure: the certificates with which the servers of nodes are
// closed, and who may do what there. It promises to write nothing where anything of the name is, to
// renew no other way than whole, and to talk to no server. What a browser takes is made of what is
// there, as often as it is asked for.
package securecmd

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"quartet/bus/host/config"
	"quartet/bus/host/exit"
	"quartet/bus/secure"
	"quartet/client/clientcmd/console"
)

const (
	day       = 24 * time.Hour
	validDays = 365
	mostDays  = 7300
)

// Command returns the command secure, with all below it.
func Command(env console.Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "secure",
		Short: "Make the certificates that close a cluster, and say what each may do",
		Long: `Make the certificates of a closed cluster: an authority, a directory for each node, and one
for each client. Servers that are started with --secure DIR take TLS, and let in who has a
certificate of the same authority; the role that stands in it says what may be done:

  read     gets, lists and watches
  write    all requests
  operate  recover, remove, lead; and what read may, which is what a backup takes

Who may request may not operate. A client says who it is as to any NATS server: NATS_CERT,
NATS_KEY and NATS_CA, or --tlscert, --tlskey and --tlsca.

The authority's directory belongs on no server: whoever has ca.key may do everything. Bring to
each machine its own directory, and nothing else.

Exit status: 2, for it needs to be told what to do.`,
		Example: `  quartet secure init certs --nodes n1=10.0.0.1,n2=10.0.0.2,n3=10.0.0.3
  quartet secure client certs billing --role write
  quartet secure browser certs/read
  quartet secure show certs`,
		Args: config.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return exit.Usage(errors.New("secure what? init, node, client, console, browser, renew, revoke, show or nats-config: quartet secure --help"))
		},
	}
	cmd.AddCommand(begin(env), node(env), client(env), forConsole(env), browser(env), renew(env), revoke(env), show(env), natsConfig(env))
	return cmd
}

// asked are the flags of all commands that issue.
type asked struct {
	days int
	out  console.Format
}

func (a *asked) flags(cmd *cobra.Command) {
	config.Int(cmd.Flags(), &a.days, "days", validDays, 1, mostDays, "for how many days a certificate is valid")
	a.out.Flag(cmd.Flags())
}

func (a *asked) valid() time.Duration { return time.Duration(a.days) * day }

// begin returns the command init.
func begin(env console.Env) *cobra.Command {
	var a asked
	var nodes string
	cmd := &cobra.Command{
		Use:   "init DIR",
		Short: "Make an authority, and certificates of nodes and clients",
		Long: `Make an authority in DIR, which may be there and holds none, a directory DIR/NAME for each
node, and DIR/read, DIR/write and DIR/operate for clients of these roles. --nodes names each
node with the address, or the name, at which clients and other nodes reach it, as --listen
does on that machine; one that has several is named several times.

Exit status: 0 made, 1 it could not be written, 2 wrong usage, or there is one already.`,
		Example: `  quartet secure init certs --nodes n1=10.0.0.1,n2=10.0.0.2,n3=10.0.0.3
  quartet secure init certs --nodes n1=10.0.0.1,n1=db1.example.org --days 90`,
		Args: config.UsageArgs(cobra.ExactArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			requests, err := parseNodes(nodes)
			if err != nil {
				return exit.Usage(err)
			}
			for _, r := range secure.Clients {
				requests = append(requests, secure.Asked{Name: string(r), Role: r})
			}
			authority, err := secure.Begin(args[0], time.Now())
			if err != nil {
				return refused(err)
			}
			for _, q := range requests {
				q.For = a.valid()
				if _, err := authority.Issue(q, time.Now()); err != nil {
					return refused(err)
				}
			}
			return list(env, a.out, args[0])
		},
	}
	config.NotEmpty(cmd.Flags(), &nodes, "nodes", "none", "`NAME=HOST,…` of all nodes")
	a.flags(cmd)
	return cmd
}

// parseNodes reads --nodes.
func parseNodes(text string) ([]secure.Asked, error) {
	if text == "none" {
		return nil, errors.New("which nodes? --nodes n1=10.0.0.1,n2=10.0.0.2,n3=10.0.0.3")
	}
	var all []secure.Asked
	for _, one := range strings.Split(text, ",") {
		name, host, found := strings.Cut(strings.TrimSpace(one), "=")
		isWhole := found && name != "" && host != ""
		if !isWhole {
			return nil, fmt.Errorf("--nodes: %q is no NAME=HOST", one)
		}
		if i := slices.IndexFunc(all, func(q secure.Asked) bool { return q.Name == name }); i >= 0 {
			all[i].Hosts = append(all[i].Hosts, host)
			continue
		}
		all = append(all, secure.Asked{Name: name, Role: secure.Node, Hosts: []string{host}})
	}
	for _, q := range all {
		if _, err := secure.ParseRole(q.Name); err == nil {
			return nil, fmt.Errorf("--nodes: a node cannot be called %s, which is a role", q.Name)
		}
		if err := q.Check(); err != nil {
			return nil, fmt.Errorf("--nodes: %w", err)
		}
	}
	return all, nil
}

func node(env console.Env) *cobra.Command {
	var a asked
	cmd := &cobra.Command{
		Use:   "node DIR NAME HOST…",
		Short: "Make the certificate of one more node",
		Long: `Make DIR/NAME for a node that is reached at these addresses or names, signed by the
authority in DIR.

Exit status: 0 made, 1 it could not be written, 2 wrong usage, or there is one already.`,
		Example: `  quartet secure node certs n4 10.0.0.4`,
		Args:    config.UsageArgs(cobra.MinimumNArgs(3)),
		RunE: func(_ *cobra.Command, args []string) error {
			return issue(env, &a, args[0], secure.Asked{Name: args[1], Role: secure.Node, Hosts: args[2:]})
		},
	}
	a.flags(cmd)
	return cmd
}

func client(env console.Env) *cobra.Command {
	var a asked
	var role string
	cmd := &cobra.Command{
		Use:   "client DIR NAME",
		Short: "Make the certificate of one more client",
		Long: `Make DIR/NAME for a client of a role, signed by the authority in DIR.

Exit status: 0 made, 1 it could not be written, 2 wrong usage, or there is one already.`,
		Example: `  quartet secure client certs billing --role write
  quartet secure client certs dashboard --role read --days 30`,
		Args: config.UsageArgs(cobra.ExactArgs(2)),
		RunE: func(_ *cobra.Command, args []string) error {
			return issue(env, &a, args[0], secure.Asked{Name: args[1], Role: secure.Role(role)})
		},
	}
	roleFlag(cmd, &role)
	a.flags(cmd)
	return cmd
}

func roleFlag(cmd *cobra.Command, role *string) {
	config.OneOf(cmd.Flags(), role, "role", string(secure.Read),
		[]string{string(secure.Read), string(secure.Write), string(secure.Operate)}, "what it may do")
}

func issue(env console.Env, a *asked, dir string, q secure.Asked) error {
	authority, err := secure.OpenAuthority(dir)
	if err != nil {
		return refused(err)
	}
	q.For = a.valid()
	if _, err := authority.Issue(q, time.Now()); err != nil {
		return refused(err)
	}
	return list(env, a.out, dir, q.Name)
}

func renew(env console.Env) *cobra.Command {
	var a asked
	cmd := &cobra.Command{
		Use:   "renew DIR NAME…",
		Short: "Make certificates anew, for another year",
		Long: `Make the certificates of these nodes and clients anew, with new keys and the same names and
roles. Bring the files to where they are used: a node that runs takes them without a restart.

Exit status: 0 made, 1 it could not be written, 2 wrong usage, or there is none.`,
		Example: `  quartet secure renew certs n1 n2 n3
  quartet secure renew certs billing --days 90`,
		Args: config.UsageArgs(cobra.MinimumNArgs(2)),
		RunE: func(_ *cobra.Command, args []string) error {
			authority, err := secure.OpenAuthority(args[0])
			if err != nil {
				return refused(err)
			}
			for _, name := range args[1:] {
				if _, err := authority.Renew(name, a.valid(), time.Now()); err != nil {
					return refused(err)
				}
			}
			return list(env, a.out, args[0], args[1:]...)
		},
	}
	a.flags(cmd)
	return cmd
}

// refused gives an error the status of wrong usage, where something else should have been asked.
func refused(err error) error {
	isMistake := errors.Is(err, secure.ErrThere) || errors.Is(err, secure.ErrName) || errors.Is(err, secure.ErrRole) ||
		errors.Is(err, os.ErrNotExist)
	if isMistake {
		return exit.Usage(err)
	}
	return err
}

func show(env console.Env) *cobra.Command {
	var out console.Format
	cmd := &cobra.Command{
		Use:   "show DIR",
		Short: "Say whose the certificates in a directory are, and until when",
		Long: `Say of each certificate below DIR, or of the one in it, whose it is, what its role is, where a
node is reached, and until when it is valid. One that ends within two weeks is marked.

Exit status: 0 shown, 1 one cannot be read, 2 wrong usage.`,
		Example: `  quartet secure show certs
  quartet secure show /etc/quartet/n1 -o json`,
		Args: config.UsageArgs(cobra.ExactArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error { return list(env, out, args[0]) },
	}
	out.Flag(cmd.Flags())
	return cmd
}

// entry is a certificate as it is shown.
type entry struct {
	Name  string      `json:"name"`
	Role  secure.Role `json:"role"`
	Hosts []string    `json:"hosts,omitempty"`
	Until time.Time   `json:"until"`
	Soon  bool        `json:"soon,omitempty"` // it ends within two weeks, or has ended
	Dir   string      `json:"dir"`

	Revoked bool `json:"revoked,omitempty"`
}

// list shows the certificates of these names below dir; of no names, all, or that in dir itself.
func list(env console.Env, out console.Format, dir string, names ...string) error {
	dirs := []string{dir}
	if _, err := os.Stat(filepath.Join(dir, secure.CertificateFile)); err != nil {
		found, err := filepath.Glob(filepath.Join(dir, "*", secure.CertificateFile))
		if err != nil {
			return exit.Usage(err)
		}
		dirs = nil
		for _, f := range found {
			if len(names) == 0 || slices.Contains(names, filepath.Base(filepath.Dir(f))) {
				dirs = append(dirs, filepath.Dir(f))
			}
		}
	}
	if len(dirs) == 0 {
		return exit.Usage(fmt.Errorf("there is no certificate in %s", dir))
	}

	revoked, err := secure.ReadRevoked(dir)
	if err != nil {
		return err
	}
	all := make([]entry, 0, len(dirs))
	for _, d := range dirs {
		c, err := secure.Certificate(filepath.Join(d, secure.CertificateFile))
		if err != nil {
			return err
		}
		role, err := secure.RoleOf(c)
		if err != nil {
			return err
		}
		e := entry{Name: c.Subject.CommonName, Role: role, Hosts: c.DNSNames, Until: c.NotAfter.UTC(), Dir: d}
		for _, ip := range c.IPAddresses {
			e.Hosts = append(e.Hosts, ip.String())
		}
		e.Soon, e.Revoked = time.Until(c.NotAfter) < secure.Soon, revoked.Refuses(c) != nil
		all = append(all, e)
	}
	return printed(env.Stdout, out, all)
}

// printed shows certificates in the form that was asked for.
func printed(w io.Writer, out console.Format, all []entry) error {
	if out == console.JSON {
		return out.Object(w, map[string]any{"certificates": all})
	}
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, e := range all {
		if out == console.JSONL {
			if err := out.Object(w, e); err != nil {
				return err
			}
			continue
		}
		mark := ""
		switch isTable := out == console.Table; {
		case isTable && e.Revoked:
			mark = "  REVOKED"
		case isTable && e.Soon:
			mark = "  ENDS SOON, OR HAS: quartet secure renew"
		}
		fmt.Fprintf(tab, "%s\t%s\tuntil %s\t%s%s\n", e.Dir, e.Role, e.Until.Format("2006-01-02"), strings.Join(e.Hosts, " "), mark)
	}
	if err := tab.Flush(); err != nil {
		return fmt.Errorf("write what was made: %w", err)
	}
	return nil
}
