package securecmd

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"quartet/bus/host/config"
	"quartet/bus/secure"
	"quartet/client/clientcmd/console"
)

// revocation is what -o json says of a revocation.
type revocation struct {
	Revoked []string `json:"revoked"`
	Lists   []string `json:"lists"` // the authority's own first; the others are to be brought to the nodes
}

func revoke(env console.Env) *cobra.Command {
	var out console.Format
	cmd := &cobra.Command{
		Use:   "revoke DIR NAME…",
		Short: "Have certificates be refused that may be in wrong hands",
		Long: `Have all certificates of these names that were issued until now be refused. Names and times go
into the list DIR/revoked, and into one in the directory of each node. Bring that file to each
machine, beside the node's certificate: the node reads it within a second, refuses whoever
connects with such a certificate, and ends the connections that were made with one. Whoever
should go on gets a new certificate: quartet secure renew.

What is between servers goes on: after a node's certificate was revoked restart the other nodes,
one by one. A NATS server of your own does not read the list: give all others certificates of
another authority.

Exit status: 0 revoked, 1 it could not be written, 2 wrong usage.`,
		Example: `  quartet secure revoke certs billing
  scp certs/n1/revoked 10.0.0.1:/etc/quartet/n1/`,
		Args: config.UsageArgs(cobra.MinimumNArgs(2)),
		RunE: func(_ *cobra.Command, args []string) error {
			authority, err := secure.OpenAuthority(args[0])
			if err != nil {
				return refused(err)
			}
			said := revocation{Revoked: args[1:]}
			for _, name := range args[1:] {
				if said.Lists, err = authority.Revoke(name, time.Now()); err != nil {
					return refused(err)
				}
			}
			if out.Objects() {
				return out.Object(env.Stdout, said)
			}
			_, err = fmt.Fprintf(env.Stdout, "%s refused as soon as each node has the list: bring %s to its machine\n",
				strings.Join(said.Revoked, ", "), strings.Join(said.Lists[1:], ", "))
			if err != nil {
				return fmt.Errorf("write what was revoked: %w", err)
			}
			return nil
		},
	}
	out.Flag(cmd.Flags())
	return cmd
}
