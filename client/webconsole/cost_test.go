//go:build chromium

package webconsole_test

import (
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"testing"

	"quartet/bus/testkit"
	"quartet/client/measure/load"
)

var (
	costRate = flag.Int("console.rate", 10000, "requests a second of BenchmarkAPageIsOpen")

	readyLine = regexp.MustCompile(`(?m)^ready (nats://\S+)`)
	besideIt  = regexp.MustCompile(`(?m)^  console +(http://\S+)$`)
)

// BenchmarkAPageIsOpen measures what one open page costs a cluster whose master serves it, at
// --console.rate requests a second, half of them gets, in model 1: the processor time of master
// and replicas for each request, with the page and without it, in turns, b.N of each. It reports
// the medians in µs, that of the ratios taken turn by turn, and how many requests a second were
// answered: a machine that answers fewer than were asked for is too busy for the figures.
func BenchmarkAPageIsOpen(b *testing.B) {
	cmd := exec.Command(built, "master", "--memory", "--listen", "127.0.0.1:-1", "--console", "127.0.0.1:-1", "--log-dir", b.TempDir())
	m := testkit.Launch(b, cmd)
	find := func(what string, line *regexp.Regexp) (found string) {
		m.AwaitStdout(b, limit, what, func(said string) bool {
			if parts := line.FindStringSubmatch(said); parts != nil {
				found = parts[1]
			}
			return found != ""
		})
		return found
	}
	url, page := find("its server", readyLine), find("its console", besideIt)
	b.Cleanup(func() { m.Stop(b, os.Interrupt, limit) })
	tab := browser(b, page)

	measure := func(address string) (cpu, answered float64) {
		tab.open(address)
		if address == page {
			tab.await("three members", `document.querySelectorAll("#nodes .node.good").length === 3`)
		}
		out, err := exec.Command(built, "bench", "--nats", url, "--rate", strconv.Itoa(*costRate), "--request", "mix",
			"--duration", "3s", "-o", "json").Output()
		if err != nil {
			b.Fatal(err)
		}
		return costs(b, out)
	}

	var closed, open, ratios, rates []float64
	measure(page) // what is compiled, cached and connected the first time is not counted
	b.ResetTimer()
	for range b.N {
		without, rate1 := measure("data:,")
		with, rate2 := measure(page)
		closed, open, ratios = append(closed, without), append(open, with), append(ratios, with/without)
		rates = append(rates, rate1, rate2)
	}
	b.StopTimer()
	ratio := load.NewSpread(ratios)
	b.ReportMetric(load.NewSpread(closed).Median, "µs/op-closed")
	b.ReportMetric(load.NewSpread(open).Median, "µs/op-open")
	b.ReportMetric(ratio.Median, "open/closed")
	b.ReportMetric(ratio.Min, "least-ratio")
	b.ReportMetric(ratio.Max, "greatest-ratio")
	b.ReportMetric(load.NewSpread(rates).Min, "least-answered/s")
	b.ReportMetric(0, "ns/op")
}

// costs reads what `quartet bench -o json` says of one load: the processor time of the cluster, in
// µs a request, and how many requests were answered in a second.
func costs(tb testing.TB, out []byte) (cpu, answered float64) {
	var loads []struct {
		Quartet struct {
			OpsPerSecond struct{ Median float64 } `json:"ops_per_second"`
			CPU          map[string]float64       `json:"cpu_us_per_op"`
		}
	}
	if err := json.Unmarshal(out, &loads); err != nil || len(loads) != 1 {
		tb.Fatalf("%d loads (%v) in %s", len(loads), err, out)
	}
	for process, us := range loads[0].Quartet.CPU {
		if process != "bench" {
			cpu += us
		}
	}
	return cpu, loads[0].Quartet.OpsPerSecond.Median
}
