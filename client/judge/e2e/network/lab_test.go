//go:build network

package network

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// lab is a switch and hosts, each in a network namespace of its own: nodes, and one for clients.
type lab struct {
	id    string
	hosts []string // names of namespaces: nodes from 0, then the clients'
}

const (
	subnet  = "10.0.0."
	clients = 100 // last byte of the clients' address
)

// newLab makes a lab of n nodes, which goes with the test.
func newLab(t testing.TB, n int) *lab {
	t.Helper()
	l := &lab{id: fmt.Sprintf("q%d", os.Getpid())}
	t.Cleanup(l.remove)

	l.must(t, "ip", "netns", "add", l.id+"-switch")
	l.in(t, "switch", "ip", "link", "add", "br0", "type", "bridge")
	l.in(t, "switch", "ip", "link", "set", "br0", "up")
	for i := range n + 1 {
		name, last := fmt.Sprintf("n%d", i+1), i+1
		if i == n {
			name, last = "clients", clients
		}
		l.hosts = append(l.hosts, name)
		l.must(t, "ip", "netns", "add", l.id+"-"+name)
		l.must(t, "ip", "link", "add", "eth0", "netns", l.id+"-"+name, "type", "veth", "peer", "name", name, "netns", l.id+"-switch")
		l.in(t, "switch", "ip", "link", "set", name, "master", "br0", "up")
		l.in(t, name, "ip", "addr", "add", fmt.Sprintf("%s%d/24", subnet, last), "dev", "eth0")
		l.in(t, name, "ip", "link", "set", "lo", "up")
		l.in(t, name, "ip", "link", "set", "eth0", "up")
	}
	return l
}

// remove takes everything away, and says nothing of what was not there.
func (l *lab) remove() {
	for _, name := range append(l.hosts, "switch") {
		_ = exec.Command("ip", "netns", "del", l.id+"-"+name).Run()
	}
}

func (l *lab) must(t testing.TB, args ...string) {
	t.Helper()
	if said, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, said)
	}
}

// in runs a command on a host.
func (l *lab) in(t testing.TB, host string, args ...string) {
	t.Helper()
	l.must(t, l.args(host, args...)...)
}

func (l *lab) args(host string, args ...string) []string {
	return append([]string{"ip", "netns", "exec", l.id + "-" + host}, args...)
}

func address(node int) string { return fmt.Sprintf("%s%d", subnet, node+1) }

// drop has a node lose what comes to it: rules of nft's input chain, each what a packet must match.
func (l *lab) drop(t testing.TB, node int, rules ...string) {
	t.Helper()
	l.heal(t, node)
	text := "table inet faults {\nchain in {\ntype filter hook input priority 0;\n"
	for _, r := range rules {
		text += r + " counter drop\n"
	}
	cmd := exec.Command("ip", l.args(l.hosts[node], "nft", "-f", "-")[1:]...)
	cmd.Stdin = strings.NewReader(text + "}\n}\n")
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("nft: %v\n%s", err, said)
	}
}

// heal has a node receive everything again, and wants each rule to have dropped something.
func (l *lab) heal(t testing.TB, node int) {
	t.Helper()
	nft := func(args ...string) ([]byte, error) {
		return exec.Command("ip", l.args(l.hosts[node], append([]string{"nft"}, args...)...)[1:]...).Output()
	}
	said, err := nft("list", "table", "inet", "faults")
	if err != nil { // there is none
		return
	}
	for rule := range strings.Lines(string(said)) {
		isIdle := strings.Contains(rule, "counter packets 0 ")
		if isIdle {
			t.Errorf("node %d: a fault has dropped nothing: %s", node+1, strings.TrimSpace(rule))
		}
	}
	t.Logf("node %d: %s", node+1, said)
	if _, err := nft("delete", "table", "inet", "faults"); err != nil {
		t.Fatal(err)
	}
}

// link takes a node's cable out of the switch, or puts it in.
func (l *lab) link(t testing.TB, node int, state string) {
	t.Helper()
	l.in(t, "switch", "ip", "link", "set", l.hosts[node], state)
}
