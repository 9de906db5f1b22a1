package clientcmd

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"quartet/bus/host/config"
	"quartet/client/clientcmd/console"
)

// release is which program this is.
type release struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"` // of the repository that it was built from; "": not known
	Go       string `json:"go"`
	OS       string `json:"os"`
	Arch     string `json:"arch"`
}

func releaseOf(version string) release {
	r := release{Version: version, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				r.Revision = s.Value
			}
		}
	}
	return r
}

// String is one line: the program's name, its version, the revision if it is known, and what
// it was built for.
func (r release) String() string {
	text := "quartet " + r.Version
	if r.Revision != "" {
		text += " " + r.Revision
	}
	return text + fmt.Sprintf(" %s %s/%s", r.Go, r.OS, r.Arch)
}

// Release is the line that "quartet version" and "quartet --version" print of a version.
func Release(version string) string { return releaseOf(version).String() }

func versionCommand(env console.Env) *cobra.Command {
	var out console.Format
	cmd := &cobra.Command{
		Use:   "version [flags]",
		Short: "Print the version",
		Long: `Print the version of this program: its number, the revision that it was built from, the
Go release, system and processor. -o json and jsonl print them as an object, -o raw the
number alone. The cluster's own is in quartet status.

Exit status: 0.`,
		Example: `  quartet version
  quartet version -o json | jq -r .revision`,
		Args: config.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			r := releaseOf(env.Version)
			if out.Objects() {
				return out.Object(env.Stdout, r)
			}

			text := r.Version
			if out == console.Table {
				text = r.String()
			}
			if _, err := fmt.Fprintln(env.Stdout, text); err != nil {
				return fmt.Errorf("write the version: %w", err)
			}
			return nil
		},
	}
	out.Flag(cmd.Flags())
	return cmd
}
