package securecmd

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"quartet/bus"
	"quartet/bus/host/config"
	"quartet/bus/host/exit"
	"quartet/bus/secure"
	"quartet/client/clientcmd/console"
)

// natsConfig returns the command nats-config.
func natsConfig(env console.Env) *cobra.Command {
	var prefix string
	cmd := &cobra.Command{
		Use:   "nats-config DIR",
		Short: "Print what a NATS server of your own needs to know of the roles",
		Long: `Print the part of a nats-server's configuration that takes the certificates of this authority,
and lets each role do what it may and no more: users by the roles in certificates
(verify_and_map), with their permissions, in one account that has JetStream; and
that finds a connection within seconds whose other end is silent. DIR is the directory of the server's own certificate, of the role node. Masters and replicas connect
with a node's certificate: quartet master --nats URL --tlscert … --tlskey … --tlsca ….

Exit status: 0 printed, 1 it could not be written, 2 wrong usage.`,
		Example: `  quartet secure nats-config /etc/nats/n1 >/etc/nats/quartet.conf
  quartet secure nats-config certs/n1 --prefix team.quartet`,
		Args: config.UsageArgs(cobra.ExactArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			subjects, err := bus.NewSubjects(prefix)
			if err != nil {
				return exit.Usage(err)
			}
			i, err := secure.Open(args[0], nil)
			if err != nil {
				return exit.Usage(err)
			}
			if i.Role() != secure.Node {
				return exit.Usage(fmt.Errorf("%w: %s is a client's (%s), and a server takes a node's", secure.ErrRole, i.Dir(), i.Role()))
			}
			if _, err := fmt.Fprint(env.Stdout, configOf(i, subjects)); err != nil {
				return fmt.Errorf("write the configuration: %w", err)
			}
			return nil
		},
	}
	config.NotEmpty(cmd.Flags(), &prefix, "prefix", bus.DefaultPrefix, "of all subjects")
	return cmd
}

// configOf is the configuration, as nats-server reads it.
func configOf(i *secure.Identity, s bus.Subjects) string {
	var b strings.Builder
	file := func(name string) string { return strconv.Quote(filepath.Join(i.Dir(), name)) }
	fmt.Fprintf(&b, "# of quartet secure nats-config; include it in the server's own configuration\n"+
		"tls {\n  cert_file: %s\n  key_file: %s\n  ca_file: %s\n  verify_and_map: true\n}\n",
		file(secure.CertificateFile), file(secure.KeyFile), file(secure.AuthorityFile))
	b.WriteString("# a master that is paused, or whose machine is gone, hears no requests after three of these:\n" +
		"# the server's own are two minutes each\nping_interval: \"1s\"\nping_max: 2\n")
	b.WriteString("accounts {\n  QUARTET {\n    jetstream: enabled\n    users: [\n")
	fmt.Fprintf(&b, "      { user: %q }\n", secure.Node.User())
	for _, r := range secure.Clients {
		p := secure.Of(r, s, s.OfNodes())
		fmt.Fprintf(&b, "      { user: %q, permissions: { publish: {", r.User())
		if len(p.Publish) > 0 {
			fmt.Fprintf(&b, " allow: %s", subjectList(p.Publish))
		}
		if len(p.Deny) > 0 {
			fmt.Fprintf(&b, " deny: %s", subjectList(p.Deny))
		}
		fmt.Fprintf(&b, " }, subscribe: { deny: %s } } }\n", subjectList(p.DenyListen))
	}
	b.WriteString("    ]\n  }\n}\n")
	return b.String()
}

func subjectList(all []string) string {
	quoted := make([]string, len(all))
	for i, s := range all {
		quoted[i] = strconv.Quote(s)
	}
	return "[ " + strings.Join(quoted, ", ") + " ]"
}
