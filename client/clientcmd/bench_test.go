package clientcmd_test

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"errors"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"quartet/bus/host/exit"
	"quartet/bus/model"
	"quartet/bus/testkit"
	"quartet/client/clientcmd"
	"quartet/client/clientcmd/console"
	"quartet/client/internal/responder"
)

// short are flags of a bench that takes no time worth speaking of.
var short = []string{"bench", "--keys", "20", "--warmup", "5ms", "--duration", "60ms", "--concurrency", "4"}

func bench(t *testing.T, url string, args ...string) world {
	t.Helper()
	return quartet(t, url, append(append([]string{}, short...), args...)...)
}

var (
	numbers = regexp.MustCompile(`\d+(\.\d+)?`)
	blanks  = regexp.MustCompile(` +`)
	ofCPU   = regexp.MustCompile(`(?m)^ +CPU .*\n`) // only where the system says
)

// shape is what does not change from run to run.
func shape(s string) string {
	return blanks.ReplaceAllString(numbers.ReplaceAllString(ofCPU.ReplaceAllString(s, ""), "#"), " ")
}

func TestBenchTables(t *testing.T) {
	r := responder.Start(t, nil)
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"--consistency", "linearizable,4", "--request", "set,mix"}, `# at once, driver callback, connections shared, # keys of # bytes, values of # bytes
# replicas, data: memory; #ms each

MODEL REQUEST OPS/S P# µs P# µs P# µs P# µs MAX µs FAILED UNKNOWN
linearizable set # # # # # # # #
linearizable mix # # # # # # # #
eventual set # # # # # # # #
eventual mix # # # # # # # #
`},
		{[]string{
			"--rate", "1000", "--spacing", "fixed", "--request", "get", "--keys-distribution", "zipf",
			"--driver", "goroutine", "--connections", "2",
		},
			`open loop, # requests a second (fixed), at most # at once, driver goroutine, connections #, # keys of # bytes (zipf, skew #), values of # bytes
# replicas, data: memory; #ms each

MODEL REQUEST OPS/S P# µs P# µs P# µs P# µs MAX µs FAILED UNKNOWN NOT SENT LATE P# µs
linearizable get # # # # # # # # # #
`},
		{[]string{"--sweep", "concurrency=8,1", "--connections", "separate", "--consistency", "2,4"}, `# to # at once, driver callback, connections separate, # keys of # bytes, values of # bytes
# replicas, data: memory; #ms each

MODEL REQUEST AT ONCE OPS/S P# µs P# µs P# µs P# µs MAX µs FAILED UNKNOWN CPU µs/op
sequential set # # # # # # # # # CPU
sequential set # # # # # # # # # CPU

sequential get # # # # # # # # # CPU
sequential get # # # # # # # # # CPU

eventual set # # # # # # # # # CPU
eventual set # # # # # # # # # CPU

eventual get # # # # # # # # # CPU
eventual get # # # # # # # # # CPU
`},
	} {
		w := bench(t, r.URL, test.args...)
		if w.status != 0 {
			t.Errorf("%v: status %d, %s", test.args, w.status, w.err)
		}
		got := shape(w.stdout)
		if strings.Contains(test.want, " CPU\n") {
			got = regexp.MustCompile(`(?m) [#-]$`).ReplaceAllString(got, " CPU")
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%v (-want +got):\n%s", test.args, diff)
		}
	}
}

func TestBenchInRounds(t *testing.T) {
	r := responder.Start(t, nil)
	w := quartet(t, r.URL, "bench", "--keys", "20", "--rounds", "3", "--round", "30ms", "--request", "set", "--consistency", "4")
	if want := "medians (#-#) of # rounds of #ms each"; w.status != 0 ||
		!strings.Contains(strings.ReplaceAll(shape(w.stdout), "min-max", "#-#"), want) ||
		!strings.Contains(shape(w.stdout), "\neventual set # (#-#) # ") {
		t.Errorf("status %d, %s:\n%s", w.status, w.err, w.stdout)
	}
	if strings.Count(w.stderr, "measuring eventual set, round ") != 3 {
		t.Errorf("stderr:\n%s", w.stderr)
	}
}

// An open loop: how many requests are due does not depend on the machine.
func TestBenchForPrograms(t *testing.T) {
	r := responder.Start(t, nil)
	args := []string{
		"--consistency", "1,4", "--concurrency", "1000", "--request", "mix", "--gets", "75", "--sweep",
		"value-size=1,1000", "--rate", "500", "--spacing", "fixed",
	}

	type side struct {
		Rate struct{ Median, Min, Max float64 } `json:"ops_per_second"`
		Ops  uint64
	}
	type record struct {
		Consistency, Request, Driver string
		Gets                         int `json:"gets_percent"`
		Size                         int `json:"value_bytes"`
		Quartet                      side
		KV                           *side `json:"kv_r1_file"`
	}

	check := func(format string, all []record) {
		t.Helper()
		if len(all) != 4 {
			t.Fatalf("%s: %d records", format, len(all))
		}
		for i, r := range all {
			if r.Consistency != []string{"LINEARIZABLE", "EVENTUAL"}[i%2] || r.Request != "mix" || r.Gets != 75 ||
				r.Size != []int{1, 1000}[i/2] || r.Driver != "callback" ||
				r.Quartet.Ops != 30 || r.Quartet.Rate.Median != 500 || r.KV != nil {
				t.Errorf("%s: record %d: %+v", format, i, r)
			}
		}
	}

	var all []record
	if w := bench(t, r.URL, append(args, "-o", "json")...); w.status != 0 || json.Unmarshal([]byte(w.stdout), &all) != nil {
		t.Fatalf("json: status %d, %s\n%s", w.status, w.err, w.stdout)
	}
	check("json", all)

	all = nil
	for line := range strings.Lines(bench(t, r.URL, append(args, "-o", "jsonl")...).stdout) {
		var one record
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			t.Fatal(err, line)
		}
		all = append(all, one)
	}
	check("jsonl", all)

	lines, err := csv.NewReader(strings.NewReader(bench(t, r.URL, append(args, "-o", "csv")...).stdout)).ReadAll()
	if err != nil || len(lines) != 5 {
		t.Fatalf("csv: %d lines, %v", len(lines), err)
	}

	at := map[string]int{}
	for i, name := range lines[0] {
		at[name] = i
	}

	for _, line := range lines[1:] {
		for name, want := range map[string]string{
			"request": "mix", "side": "quartet", "gets_percent": "75", "failed": "0", "durability": "memory",
			"concurrency": "1000", "rate": "500", "spacing": "fixed", "ops": "30", "ops_per_second": "500",
		} {
			if line[at[name]] != want {
				t.Errorf("csv: %s is %s, want %s: %v", name, line[at[name]], want, line)
			}
		}
		if line[at["p99_us"]] == "" || line[at["sent_late_p99_us"]] == "" {
			t.Errorf("csv: %v", line)
		}
	}
}

func TestBenchDraws(t *testing.T) {
	r := responder.Start(t, nil)
	dir := t.TempDir()
	for name, args := range map[string][]string{
		"models.svg": {"--consistency", "all", "--request", "set"},
		"growth.svg": {"--sweep", "keys=5,50", "--consistency", "4", "--request", "set"},
		"growth.png": {"--sweep", "rate=500,1000", "--consistency", "4", "--request", "set"},
	} {
		path := filepath.Join(dir, name)
		if w := bench(t, r.URL, append(args, "--plot", path, "-o", "json")...); w.status != 0 ||
			!strings.Contains(w.stderr, "drawn into "+path) {
			t.Fatalf("%s: status %d, %s%s", name, w.status, w.err, w.stderr)
		}

		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()

		if filepath.Ext(name) == ".png" {
			if _, err := png.Decode(file); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}

		texts := ""
		for decoder := xml.NewDecoder(file); ; {
			token, err := decoder.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if chars, ok := token.(xml.CharData); ok {
				texts += string(chars) + "\n"
			}
		}

		says := []string{"eventual set", "data: memory", "requests a second"}
		if name == "models.svg" {
			says = append(says, "linearizable set", "sequential set", "causal set")
		}
		for _, want := range says {
			if !strings.Contains(texts, want) {
				t.Errorf("%s does not say %q:\n%s", name, want, texts)
			}
		}
	}
}

func TestBenchSaysWhatFailed(t *testing.T) {
	refusing := responder.Start(t, func(call responder.Call) responder.Action {
		if call.N > 20 && call.N%3 == 0 {
			return responder.Action{Code: model.Unavailable}
		}
		return responder.Action{}
	})
	w := bench(t, refusing.URL, "--request", "set")
	if w.status != exit.StatusRefused || !strings.Contains(w.err, " refused); the figures are no measure") ||
		!strings.Contains(w.stdout, "linearizable set") {
		t.Errorf("status %d, %s\n%s", w.status, w.err, w.stdout)
	}
	// 20 keys are set, then one request in three is lost, until as many as allowed are outstanding.
	losing := responder.Start(t, func(call responder.Call) responder.Action {
		return responder.Action{Silent: call.N > 20 && call.N%3 == 0}
	})
	w = bench(t, losing.URL, "--request", "set", "--rate", "5000", "--spacing", "fixed", "--timeout", "1s", "-o", "jsonl")
	var got struct {
		Quartet struct{ Ops, Unknown, Beyond uint64 }
	}
	if err := json.Unmarshal([]byte(w.stdout), &got); err != nil || w.status != exit.StatusUnknown ||
		!strings.Contains(w.err, " of unknown outcome)") || got.Quartet.Unknown == 0 || got.Quartet.Beyond == 0 {
		t.Errorf("status %d, %s, %+v", w.status, w.err, got)
	}
	if !strings.Contains(w.stderr, "were not sent: the cluster did not keep up") {
		t.Errorf("stderr does not say what was not sent:\n%s", w.stderr)
	}
}

// Of requests that are only refused, or only lost, nothing can be measured: not even the keys are
// set. The exit status is that of such requests all the same, of whatever command.
func TestCommandsEndAsTheirRequestsDo(t *testing.T) {
	refusing := responder.Start(t, func(responder.Call) responder.Action {
		return responder.Action{Code: model.Unavailable}
	})
	losing := responder.Start(t, func(responder.Call) responder.Action { return responder.Action{Silent: true} })

	for _, args := range [][]string{
		{"bench", "--keys", "3"},
		{"bench", "--keys", "3", "--driver", "goroutine", "--request", "get"},
		{"compare", "--keys", "3", "--clients", "2", "--warmup", "0s", "--duration", "20ms"},
		{"compare", "--clients", "1", "--times", "1", "1, 1, k ::: v"},
		{"demo", "--nats", "URL"},
		{"client", "1, 1, k ::: v", "1, 2, k"},
		{"client", "--async", "1, 1, k ::: v", "1, 2, k"},
		{"list"},
		{"list", "--record", "RECORD"},
		{"get", "k", "--record", "RECORD"},
		{"delete", "k"},
		{"add", "k", "1"},
		{"trace", "1, 1, k ::: v"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			for _, c := range []struct {
				url     string
				timeout string // what is refused is answered, however busy the machine is; what is lost is waited for in vain
				status  int
			}{{refusing.URL, "1m", exit.StatusRefused}, {losing.URL, "100ms", exit.StatusUnknown}} {
				with := append([]string{}, args...)
				for i := range with {
					switch with[i] {
					case "RECORD":
						with[i] = filepath.Join(t.TempDir(), "run")
					case "URL":
						with[i] = c.url
					}
				}
				w := quartet(t, c.url, append(with, "--retries", "0", "--timeout", c.timeout)...)
				if w.status != c.status {
					t.Errorf("status %d, want %d: %s\n%s%s", w.status, c.status, w.err, w.stdout, w.stderr)
				}
			}
		})
	}
}

// Ctrl-C is a context that ends.
func TestBenchEndedEarly(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r := responder.Start(t, func(call responder.Call) responder.Action {
		if call.N == 500 {
			cancel()
		}
		return responder.Action{}
	})
	plot := filepath.Join(t.TempDir(), "early.svg")
	var stdout, stderr testkit.Buffer
	root := &cobra.Command{Use: "quartet", SilenceErrors: true, SilenceUsage: true}
	root.AddCommand(clientcmd.Commands(console.Env{
		Stdout: &stdout, Stderr: &stderr, Getenv: func(string) string { return "" }, Requests: os.DirFS("."), Program: "no-such-program",
	})...)
	root.SetArgs([]string{"bench", "--nats", r.URL, "--keys", "20", "--warmup", "0", "--duration", "1h", "--plot", plot})
	began := time.Now()
	err := root.ExecuteContext(ctx)
	if exit.Status(err) != exit.StatusFailed || !strings.Contains(err.Error(), "ended early") || time.Since(began) > time.Minute {
		t.Errorf("status %d, %v after %s", exit.Status(err), err, time.Since(began))
	}
	if got := stdout.String(); !strings.Contains(shape(got), "\nlinearizable set # ") ||
		!strings.Contains(got, "ended early: 1 of 1 rounds") || strings.Contains(got, "linearizable get") {
		t.Errorf("stdout:\n%s", got)
	}
	if _, err := os.Stat(plot); err != nil {
		t.Error(err)
	}
}

func TestBenchWrongUsage(t *testing.T) {
	for _, test := range []struct{ args, want string }{
		{"--request put", "want set, get or mix"},
		{"--request set,set", "asked for twice"},
		{"--connections many", "want shared or separate"},
		{"--connections 65", "some would have none"},
		{"--connections 0", "want shared or separate"},
		{"--connections separate --concurrency 5000", "at most 4096"},
		{"--connections separate --rate 10", "needs --concurrency"},
		{"--concurrency 0", "from 1 to 65536"},
		{"--key-size 2", "keys of 2 bytes"},
		{"--consistency weak", "want 1 linearizable"},
		{"--rate -1", "requests a second"},
		{"--rate 10 --spacing even", "want poisson or fixed"},
		{"--driver thread", "want callback or goroutine"},
		{"--keys-distribution normal", "want uniform or zipf"},
		{"--keys-distribution zipf --skew 0.9", "skew of 0.9"},
		{"--gets 101", "from 0 to 100"},
		{"--sweep speed=1", "want concurrency, rate, keys, key-size, value-size, replicas"},
		{"--sweep concurrency", "no number"},
		{"--sweep concurrency=1,x", `"x" is no number`},
		{"--sweep concurrency=1,2,1", "twice"},
		{"--sweep concurrency=1,0", "concurrency 0"},
		{"--sweep value-size=600000", "values of 600000 bytes"},
		{"--sweep replicas=1,3 --nats nats://127.0.0.1:4222", "clusters of its own"},
		{"--sweep replicas=1,3 --compare-kv", "exclude each other"},
		{"--sweep rate=0", "no rate"},
		{"--ttl 5ms", "a TTL of \"5ms\" (want 1s to 87600h"},
		{"--ttl 0", "a TTL of \"0\""},
		{"--ttl 1000000us", "want hours, minutes, seconds and ms"},
		{"--ttl 1h --compare-kv", "exclude each other"},
		{"--plot figure.pdf", "neither .svg nor .png"},
		{"--plot no/such/folder/a.svg", "no folder"},
		{"--rounds 0", "from 1 to 1000"},
		{"--round 1s", "give the time of the load with --duration"},
		{"--compare-kv --duration 1s", "with --round"},
		{"-o xml", "want table, json, jsonl or csv"},
		{"more", "usage"},
	} {

		w := quartet(t, "nats://127.0.0.1:1", append([]string{"bench"}, strings.Fields(test.args)...)...)
		if w.status != exit.StatusUsage || !strings.Contains(w.err, test.want) || w.stdout != "" {
			t.Errorf("bench %s: status %d, %q, want %q", test.args, w.status, w.err, test.want)
		}
	}
}
