package clientcmd_test

import (
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"quartet/client/clientcmd"
	"quartet/client/clientcmd/console"
	"quartet/master/mastercmd"
	"quartet/replica/replicacmd"
)

// every calls visit for each flag of each command, the nodes' included.
func every(t *testing.T, visit func(name string, cmd *cobra.Command, f *pflag.Flag)) {
	t.Helper()
	all := append(clientcmd.Commands(console.Env{Stdout: io.Discard, Stderr: io.Discard}),
		mastercmd.Master(io.Discard, io.Discard, "", nil, nil, nil), mastercmd.Report(io.Discard), replicacmd.Replica(io.Discard, nil))
	for _, cmd := range all {
		cmd.Flags().VisitAll(func(f *pflag.Flag) { visit(cmd.Name()+" --"+f.Name, cmd, f) })
	}
}

// A number or a duration that makes no sense is refused where it is read, and the refusal
// says what is wanted. Two numbers are checked later, with the rest of a load; the seed of a
// load may be any, and so may the revision of a condition.
func TestNumbersHaveBounds(t *testing.T) {
	nonsense := []string{"", "x", "-2", "1e3x", "99999999999999999999999"}
	durations := []string{"", "x", "-1ns", "-1h", "10", "1000000h", "99999999999999h"}
	seen := 0
	every(t, func(name string, _ *cobra.Command, f *pflag.Flag) {
		var wrong []string
		switch f.Value.Type() {
		case "bool", "string", "stringSlice", "stringArray":
			return
		case "duration":
			wrong = durations
		case "int":
			wrong = nonsense
		case "float64":
			if !slices.Contains([]string{"rate", "skew"}, f.Name) {
				t.Errorf("%s: a float64 without bounds", name)
			}
			return
		case "uint64":
			if !slices.Contains([]string{"seed", "if-revision", "from"}, f.Name) {
				t.Errorf("%s: a uint64 without bounds", name)
			}
			return
		default:
			return // a type of this program's own, which reads words
		}

		seen++
		before := f.Value.String()
		for _, given := range wrong {
			err := f.Value.Set(given)
			if err == nil || !strings.Contains(err.Error(), "want") {
				t.Errorf("%s %q: %v", name, given, err)
			}
		}
		if f.Value.String() != before {
			t.Errorf("%s: it was %s and is %s", name, before, f.Value)
		}
	})
	if seen < 20 {
		t.Errorf("only %d flags were tried", seen)
	}
}

// An empty name, folder, file or word is most often a variable that is not set: it is
// refused, but for what means "none" or "off" there, and for the connection settings of the
// nats command, of which an empty one counts as none.
func TestEmptyTexts(t *testing.T) {
	off := []string{"metrics", "replica-metrics", "otel", "console"}
	checkedLater := []string{
		"output", "driver", "connections", "spacing", "keys-distribution", "workload", // by name, with what is wanted
		"request", "consistency", "id", // of bench, of a replica
		"check", "also",
	}
	connection := []string{
		"nats", "context", "creds", "nkey", "user", "password", "token", "tlscert", "tlskey", "tlsca", "socks-proxy",
		"inbox-prefix", "js-domain",
	}
	every(t, func(name string, _ *cobra.Command, f *pflag.Flag) {
		if f.Value.Type() != "string" || slices.Contains(slices.Concat(off, checkedLater, connection), f.Name) {
			return
		}
		if err := f.Value.Set(""); err == nil {
			t.Errorf("%s takes an empty text", name)
		}
	})
}
