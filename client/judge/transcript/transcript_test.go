// Package transcript_test tells the stories in testdata/transcripts: each file is a script
// over one master and some replicas, and what they said and did. The messages wait in the
// harness until the script delivers, drops or repeats them. After a change of the protocol
//
//	go test ./client/judge/transcript -rewrite
//
// writes the files anew; read the diff before it is accepted.
//
// The commands of a script:
//
//	cluster replicas=N [missing=F] [boot] [gets=ordered] [mutant=NAME] [collects]
//	                                        a cluster; boot: with the view installed, unseen;
//	                                        collects: tombstones that are two ticks old
//	ask [old]                               a turn of the master with these requests, one a line:
//	  NAME [to=rN] [id=ID] [min=M]: MODEL set|get|delete KEY [= VALUE]
//	  NAME [to=rN]: MODEL watch PREFIX        from the first time on after what it was told
//	  NAME [to=rN] limit=N [next]: MODEL list PREFIX
//	lose NAME [n=N]                         the next events to a watcher do not come
//	deliver|drop|duplicate KIND [from=N] [to=N] [seq=N] [first]
//	                                        messages in flight that match, or only the oldest
//	run                                     deliver until nothing is in flight
//	tick NODE… [n=N]                        time passes at these nodes
//	pass [n=N]                              time passes everywhere, and everything is delivered;
//	                                        heartbeats and idle PULLs are not written down
//	state [NODE…]                           what the replicas hold
//	restart-master                          the master dies; another one starts
//	crash rN | start rN                     a replica's process ends, or starts without memory
//	second-master                           another master starts, the first stands still: it is
//	                                        m2 here, and whatever is said to masters both get
//	pause rN | resume rN|m2                 a process stands still, and goes on
package transcript_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/model"
	"quartet/client/judge/mutants"
	"quartet/master"
	"quartet/replica"
)

func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("../../../testdata/transcripts/*.txt")
	if err != nil || len(files) < 25 {
		t.Fatalf("%d transcripts found, error %v", len(files), err)
	}
	for _, file := range files {
		mutant := mutantOf(t, file)
		if mutant != mutants.Told() {
			continue // the story of a rule removed is told by another process
		}
		t.Run(nameOf(file), func(t *testing.T) {
			c := &cluster{}
			datadriven.RunTest(t, file, func(t *testing.T, d *datadriven.TestData) string { return c.command(t, d) })
		})
	}
}

// The stories in which a rule is removed are told by a binary in which that can be.
func TestTranscriptsOfMutants(t *testing.T) {
	files, err := filepath.Glob("../../../testdata/transcripts/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	binary, err := mutants.Build("../../..", t.TempDir(), "./client/judge/transcript")
	if err != nil {
		t.Fatal(err)
	}

	told := 0
	for _, file := range files {
		mutant := mutantOf(t, file)
		if mutant == "" {
			continue
		}
		told++
		t.Run(nameOf(file), func(t *testing.T) {
			args := []string{"-test.v", "-test.run=^TestTranscripts$/^" + regexp.QuoteMeta(nameOf(file)) + "$"}
			if rewrite := flag.Lookup("rewrite"); rewrite != nil {
				args = append(args, "-rewrite="+rewrite.Value.String())
			}
			said, err := mutants.Command(binary, mutant, args...).CombinedOutput()
			if err != nil || !strings.Contains(string(said), "--- PASS: TestTranscripts/"+nameOf(file)) {
				t.Errorf("%v\n%s", err, said)
			}
		})
	}

	if told == 0 {
		t.Error("there is no story of a rule removed")
	}
}

func nameOf(file string) string { return strings.TrimSuffix(filepath.Base(file), ".txt") }

// mutantOf returns the mutant that a script asks for, or "".
func mutantOf(t *testing.T, file string) string {
	script, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	asked := regexp.MustCompile(`(?m)^cluster .*mutant=(\S+)`).FindSubmatch(script)
	if asked == nil {
		return ""
	}
	name, ok := mutantNames[string(asked[1])]
	if !ok {
		t.Fatalf("%s: unknown mutant %q", file, asked[1])
	}
	return name
}

// mutantNames are what scripts call the mutants of package mutants.
var mutantNames = map[string]string{
	"without-fence":   "gets let go without their fence",
	"without-receipt": "without (B)",
}

func (c *cluster) command(t *testing.T, d *datadriven.TestData) string {
	c.out.Reset()
	switch d.Cmd {
	case "cluster":
		c.start(t, d)
	case "ask":
		var asked []master.Incoming
		for line := range strings.Lines(d.Input) {
			asked = append(asked, c.parse(t, strings.TrimSpace(line)))
		}
		m := c.master
		if d.HasArg("old") {
			m = c.old
		}
		m.turn(c, func(out *master.Output) {
			for _, in := range asked {
				m.machine.Request(in, out)
			}
		})

	case "deliver":
		for _, f := range c.take(t, d) {
			c.deliver(f)
		}
	case "drop":
		for _, f := range c.take(t, d) {
			c.line(f.to.String()+" loses", "%s from %s", f.msg.Kind(), f.msg.Head().From)
		}
	case "duplicate":
		taken := c.take(t, d)
		c.flying = append(append(c.flying, taken...), taken...)

	case "run":
		c.run()
	case "pass":
		n := 1
		d.MaybeScanArgs(t, "n", &n)
		c.pass(n)
	case "tick":
		c.tick(t, d)

	case "state":
		c.state(t, d)

	case "restart-master":
		c.restartMaster()
	case "crash":
		c.crash(c.node(t, d.CmdArgs[0].Key))
	case "lose":
		n := 1
		d.MaybeScanArgs(t, "n", &n)
		c.lose(t, d.CmdArgs[0].Key, n)
	case "second-master":
		c.secondMaster()
	case "pause", "resume":
		*c.paused(c.node(t, d.CmdArgs[0].Key)) = d.Cmd == "pause"
	case "start":
		c.startReplica(c.node(t, d.CmdArgs[0].Key))

	default:
		t.Fatalf("%s: unknown command %q", d.Pos, d.Cmd)
	}

	if c.out.Len() == 0 {
		return "nothing\n"
	}
	return c.out.String()
}

func (c *cluster) start(t *testing.T, d *datadriven.TestData) {
	replicas, missing, mutant, gets := 3, -1, "", "fenced"
	d.MaybeScanArgs(t, "replicas", &replicas)
	d.MaybeScanArgs(t, "missing", &missing)
	d.MaybeScanArgs(t, "mutant", &mutant)
	d.MaybeScanArgs(t, "gets", &gets)
	c.voting = d.HasArg("voting")
	c.ordered = gets == "ordered"
	c.collecting = replica.Collecting{}
	if d.HasArg("collects") {
		c.collecting = replica.Collecting{Most: 1, LagTicks: 2}
	}
	mutants.Switch(mutantNames[mutant])
	c.open(replicas, missing)
	if d.HasArg("boot") {
		c.boot()
		c.line("view", "%s", viewOf(c.replicas[0].machine.Record().View))
	}
}

func (c *cluster) node(t *testing.T, name string) lamport.Node {
	n, err := lamport.ParseNode(name)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// parse reads NAME [to=rN] [id=ID] [min=M] [limit=N] [next]: MODEL TYPE KEY [= VALUE].
func (c *cluster) parse(t *testing.T, line string) master.Incoming {
	head, request, ok := strings.Cut(line, ": ")
	words := strings.Fields(request)
	if !ok || len(words) < 3 {
		t.Fatalf("not a request: %q", line)
	}

	c.tokens++
	in := master.Incoming{Token: c.tokens}
	limit, goesOn := 0, false
	for i, word := range strings.Fields(head) {
		name, value, _ := strings.Cut(word, "=")
		var err error
		switch {
		case i == 0:
			c.clients[in.Token] = name
		case name == "to":
			in.Replica = c.node(t, value)
		case name == "id":
			in.Request.Identity = value
		case name == "min":
			in.Request.Min, err = strconv.ParseUint(value, 10, 64)
		case name == "limit":
			limit, err = strconv.Atoi(value)
		case name == "next":
			goesOn = true
		default:
			err = fmt.Errorf("unknown option %q", name)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error

	if in.Request.Model, err = model.ParseConsistency(words[0]); err != nil {
		t.Fatal(err)
	}
	if in.Request.Type, err = model.ParseType(words[1]); err != nil {
		t.Fatal(err)
	}
	in.Request.Key = words[2]
	if len(words) == 5 {
		in.Request.Value = []byte(words[4])
	}
	switch in.Request.Type {
	case model.Watch:
		c.watch(c.clients[in.Token], &in)
	case model.List:
		c.lists[in.Token] = true
		c.list(t, c.clients[in.Token], limit, goesOn, &in)
	}
	return in
}

// take removes from flight what the command names.
func (c *cluster) take(t *testing.T, d *datadriven.TestData) []flying {
	var kind, from, to string
	var seq uint64
	first := false
	for _, arg := range d.CmdArgs {
		switch {
		case arg.Key == "first":
			first = true
		case len(arg.Vals) == 0:
			kind = arg.Key
		}
	}

	d.MaybeScanArgs(t, "from", &from)
	d.MaybeScanArgs(t, "to", &to)
	d.MaybeScanArgs(t, "seq", &seq)

	var taken []flying
	c.flying = slices.DeleteFunc(c.flying, func(f flying) bool {
		data, _ := f.msg.(*message.Data)
		ofKind := kind == "" || f.msg.Kind().String() == kind
		sentBy := from == "" || f.msg.Head().From.String() == from
		sentTo := to == "" || f.to.String() == to
		numbered := seq == 0
		if data != nil && data.Seq == seq {
			numbered = true
		}
		taking := !first || len(taken) == 0
		match := ofKind && sentBy && sentTo && numbered && taking
		if match {
			taken = append(taken, f)
		}
		return match
	})

	if len(taken) == 0 {
		t.Fatalf("%s: nothing in flight matches", d.Pos)
	}
	return taken
}

func (c *cluster) tick(t *testing.T, d *datadriven.TestData) {
	n := 1
	d.MaybeScanArgs(t, "n", &n)
	for range n {
		for _, arg := range d.CmdArgs {
			if arg.Key != "n" {
				c.tickNode(c.node(t, arg.Key))
			}
		}
	}
}
