//go:build network

package network

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"quartet/bus"
	"quartet/bus/testkit"
	"quartet/client/internal/program"
)

// machine is a host of a lab with /etc and /var/lib of its own, where the program is installed.
type machine struct {
	*lab
	host, dir, bin string
}

// newMachine has folders in dir for a host.
func newMachine(t testing.TB, l *lab, host, dir, bin string) *machine {
	t.Helper()
	m := &machine{lab: l, host: host, dir: filepath.Join(dir, host), bin: bin}
	for _, folder := range []string{"etc/quartet", "lib", "work"} {
		if err := os.MkdirAll(filepath.Join(m.dir, folder), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// command is what somebody types at this machine, as it stands. (ip netns exec gives it a mount
// namespace of its own.)
func (m *machine) command(ctx context.Context, line string) *exec.Cmd {
	script := `mount --make-rprivate / && mount --bind "$0/etc" /etc && mount --bind "$0/lib" /var/lib && cd "$0/work" && eval "$1"`
	args := m.args(m.host, "sh", "-ec", script, m.dir, line)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = []string{"PATH=" + m.bin + ":" + os.Getenv("PATH"), "HOME=" + m.dir}
	return cmd
}

// types types a line, and wants it to end well.
func (m *machine) types(t testing.TB, line string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), restLimit)
	defer cancel()
	said, err := m.command(ctx, line).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %s\n%v\n%s", m.host, line, err, said)
	}
	return string(said)
}

// page is the page that is followed.
const page = "../../../../master/deploy/MACHINES.md"

var (
	fenced = regexp.MustCompile("(?ms)^```\n(.*?)^```$")
	inline = regexp.MustCompile("`(quartet [^`]*)`")
)

// section is a part of the page: its blocks of commands, and the commands within its lines.
func section(t testing.TB, title string) (blocks, within []string) {
	t.Helper()
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	_, text, found := strings.Cut(string(b), "\n## "+title+"\n")
	if !found {
		t.Fatalf("the page has no section %q", title)
	}
	text, _, _ = strings.Cut(text, "\n## ")
	for _, m := range fenced.FindAllStringSubmatch(text, -1) {
		blocks = append(blocks, m[1])
	}
	for _, m := range inline.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
		within = append(within, strings.Join(strings.Fields(m[1]), " "))
	}
	return blocks, within
}

// The page "Three machines" is followed line by line, exactly as it is written, on machines that
// have the addresses that it names.
func TestThreeMachinesAsWritten(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	dir := t.TempDir()
	binary, err := program.Build(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	l := newLab(t, nodes)
	desk := newMachine(t, l, "clients", dir, filepath.Dir(binary))
	var all []*machine
	for i := range nodes {
		all = append(all, newMachine(t, l, l.hosts[i], dir, desk.bin))
	}

	blocks, _ := section(t, "What to type")
	if len(blocks) != 5 {
		t.Fatalf("%d blocks of commands: what is to be typed where?\n%q", len(blocks), blocks)
	}
	desk.types(t, blocks[0])
	for _, m := range all { // "Bring the directory"
		if err := os.CopyFS(filepath.Join(m.dir, "etc/quartet", m.host), os.DirFS(filepath.Join(desk.dir, "work/certs", m.host))); err != nil {
			t.Fatal(err)
		}
	}

	started := strings.Split(strings.TrimSpace(blocks[1]+blocks[2]), "\n")
	if len(started) != nodes {
		t.Fatalf("%d nodes are started: %q", len(started), started)
	}
	var children []*testkit.Child
	for i, line := range started {
		child := testkit.Launch(t, all[i].command(context.Background(), "exec "+line))
		children = append(children, child)
		t.Cleanup(func() {
			if status := child.Stop(t, syscall.SIGTERM, stopLimit); status != 0 {
				t.Errorf("node %d ended with status %d\n%s", i+1, status, &child.Stderr)
			}
		})
	}
	testkit.Eventually(t, startLimit, "one says ready, two say stands by", func() error {
		ready, standing := 0, 0
		for i, c := range children {
			if c.Gone() {
				t.Fatalf("node %d has ended\n%s", i+1, &c.Stderr)
			}
			ready += c.Stdout.Count("ready tls://")
			standing += c.Stdout.Count("stands by tls://")
		}
		if ready != 1 || standing < 2 {
			return fmt.Errorf("%d and %d", ready, standing)
		}
		return nil
	})

	said := desk.types(t, blocks[3])
	if !strings.HasPrefix(said, "ready\n") || !strings.HasSuffix(said, "\nvalue\n") {
		t.Errorf("at the desk it says\n%s", said)
	}
	desk.handsOver(t, blocks[3], blocks[4])
	whoMayDoWhat(t, desk, all[0])
	theConsole(t, desk)
}

// theConsole types at the desk what the section of that name has for a browser and for a console of
// its own, but for what goes on.
func theConsole(t testing.TB, desk *machine) {
	t.Helper()
	blocks, _ := section(t, "The console")
	if len(blocks) != 2 {
		t.Fatalf("%d blocks of commands: %q", len(blocks), blocks)
	}
	makes, _, _ := strings.Cut(blocks[1], "\n")
	for _, line := range []string{blocks[0], makes} {
		if said := desk.types(t, line); said == "" {
			t.Errorf("%s says nothing", line)
		}
	}
	for _, file := range []string{"read/browser.p12", "desk/tls.crt"} {
		if _, err := os.Stat(filepath.Join(desk.dir, "work/certs", file)); err != nil {
			t.Error(err)
		}
	}
}

// handsOver has another node lead, as the page says.
func (m *machine) handsOver(t testing.TB, settings, line string) {
	t.Helper()
	var exports []string
	for one := range strings.Lines(settings) {
		if strings.HasPrefix(one, "export ") {
			exports = append(exports, strings.TrimSpace(one))
		}
	}
	before := strings.Join(exports, "\n") + "\n"
	m.types(t, before+line)
	testkit.Eventually(t, restLimit, "n2 leads", func() error {
		var s bus.Status
		if err := json.Unmarshal([]byte(m.types(t, before+"quartet status -o json || true")), &s); err != nil {
			return err
		}
		if !s.Ready || s.Master.Name != "n2" {
			return errors.New(s.Master.Name + " leads")
		}
		return nil
	})
}

// whoMayDoWhat types the commands of the section of that name: those that name a directory of a
// machine there.
func whoMayDoWhat(t testing.TB, desk, first *machine) {
	t.Helper()
	_, within := section(t, "Who may do what")
	typed := 0
	for _, line := range within {
		if !strings.HasPrefix(line, "quartet secure ") {
			continue // doctor, which findings of the moment make end otherwise
		}
		m := desk
		if strings.Contains(line, "/etc/") {
			m = first
		}
		if said := m.types(t, line); said == "" {
			t.Errorf("%s says nothing", line)
		}
		typed++
	}
	if typed < 5 {
		t.Errorf("%d commands in %q", typed, within)
	}
}
