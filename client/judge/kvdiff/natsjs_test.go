//go:build natsjs

package kvdiff_test

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// nodeFolder has the packages of nats.js: `task test:kv:js` installs them.
var nodeFolder = flag.String("kvdiff.node", "", "a folder in which @nats-io/kv is installed")

// What a client in JavaScript is told is the same, with the option apiPrefix.
func TestNatsJSIsTheSame(t *testing.T) {
	if *nodeFolder == "" {
		t.Fatal("name the folder with -kvdiff.node, or run `task test:kv:js`")
	}
	theirs := runNode(t, startJetStream(t).ClientURL(), "")
	ours := runNode(t, startFacade(t), facadePrefix)
	if len(theirs) != len(ours) {
		t.Errorf("%d lines, and %d", len(theirs), len(ours))
	}

	listed := differences(t)
	for i := range min(len(theirs), len(ours)) {
		step, _, _ := strings.Cut(theirs[i], ":")
		o := outcome{"nats.js " + step, theirs[i], ours[i]}
		if o.theirs != o.ours && o.among(listed) == nil {
			t.Errorf("%s", o)
		}
		t.Log(theirs[i])
	}
	tellDifferences(t, listed)
}

// runNode runs the script of nats.js on a server, and returns the lines that it has written.
func runNode(t *testing.T, url, prefix string) []string {
	t.Helper()
	const script = "kv.mjs"
	text, err := os.ReadFile(filepath.Join("testdata", script))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(*nodeFolder, script), text, 0o600); err != nil {
		t.Fatal(err)
	}

	cmd := exec.CommandContext(t.Context(), "node", script, url, prefix)
	cmd.Dir = *nodeFolder
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("node: %v", err)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}
