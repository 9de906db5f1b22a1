package nodelog

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/slogtest"
	"testing/synctest"
	"time"

	"github.com/spf13/pflag"

	"quartet/bus/lamport"
	"quartet/bus/testkit"
)

func open(t testing.TB, o Options) (*slog.Logger, io.Closer) {
	t.Helper()
	if o.Node == "" {
		o.Node = "r1"
	}
	log, closer, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closer.Close() })
	return log, closer
}

func closed(t testing.TB, c io.Closer) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
}

func content(t testing.TB, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestText(t *testing.T) {
	dir := t.TempDir()
	log, closer := open(t, Options{Dir: filepath.Join(dir, "made"), Node: "m1"})
	log.Debug("not shown")
	log.Info("message in", "rid", 7, "time", "an attribute of that name")
	log.With("epoch", 1).WithGroup("g").Warn("two words", "at", time.Unix(0, 0).UTC())
	closed(t, closer)
	want := regexp.MustCompile(`^time=20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d\d\dZ level=INFO msg="message in" rid=7 time="an attribute of that name"
time=\S+ level=WARN msg="two words" epoch=1 g.at=1970-01-01T00:00:00.000Z
$`)
	if got := content(t, dir, "made", "m1.log"); !want.MatchString(got) {
		t.Errorf("log:\n%s", got)
	}
}

func TestJSON(t *testing.T) {
	dir := t.TempDir()
	log, closer := open(t, Options{Dir: dir, Format: JSON, Level: "DEBUG"})
	log.Debug("message in", "rid", 7)
	closed(t, closer)
	var line struct {
		Time      time.Time
		Level     string
		Msg, Node string
		RID       int
	}
	if err := json.Unmarshal([]byte(content(t, dir, "r1.log")), &line); err != nil {
		t.Fatal(err)
	}
	if line.Level != "DEBUG" || line.Msg != "message in" || line.Node != "r1" || line.RID != 7 || time.Since(line.Time) > time.Minute {
		t.Errorf("%+v", line)
	}
}

// With "-" nodes share one stream: each line names its node, and nothing is in a file.
func TestStderr(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not made")
	var out bytes.Buffer
	for _, o := range []Options{{Format: Text, Node: "m1"}, {Format: JSON, Node: "r1"}, {Format: JSON, Node: "r2", Level: "debug"}} {
		o.To, o.Dir, o.Stderr = ToStderr, dir, &out
		log, closer := open(t, o)
		log.Debug("fine")
		log.Warn("said", "replica", lamport.Replica(3), "after", time.Second)
		closed(t, closer)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 4 || !strings.HasSuffix(lines[0], "level=WARN msg=said node=m1 replica=r3 after=1s") {
		t.Fatalf("%q", lines)
	}
	for i, want := range []string{"", "r1", "r2", "r2"} {
		var line struct{ Level, Msg, Node, Replica string }
		if i == 0 {
			continue
		}
		if err := json.Unmarshal([]byte(lines[i]), &line); err != nil || line.Node != want ||
			(line.Msg == "said") != (line.Replica == "r3") {
			t.Errorf("%s: %+v, %v", lines[i], line, err)
		}
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory: %v", err)
	}
}

// The whole contract of a slog.Handler, through the fan-out to file and terminal.
func TestHandlerContract(t *testing.T) {
	dir, n := t.TempDir(), 0
	var closer io.Closer // of the last handler: the result is read after it has been used
	slogtest.Run(t, func(t *testing.T) slog.Handler {
		n++
		var log *slog.Logger
		log, closer = open(t, Options{Dir: dir, Node: fmt.Sprint(n), Format: JSON, Stderr: io.Discard})
		return log.Handler()
	}, func(t *testing.T) map[string]any {
		closed(t, closer)
		var m map[string]any
		if err := json.Unmarshal([]byte(content(t, dir, fmt.Sprint(n)+".log")), &m); err != nil {
			t.Fatal(err)
		}
		return m
	})
}

func TestLevels(t *testing.T) {
	for level, want := range map[string]int{"debug": 4, "info": 3, "": 3, "warn": 2, "error": 1} {
		dir := t.TempDir()
		var screen bytes.Buffer
		log, closer := open(t, Options{Dir: dir, Level: level, Stderr: &screen})
		log.Debug("d")
		log.Info("i")
		log.Warn("w")
		log.Error("e")
		closed(t, closer)
		if got := strings.Count(content(t, dir, "r1.log"), "\n"); got != want {
			t.Errorf("level %q: %d lines, want %d", level, got, want)
		}
		if got, want := strings.Count(screen.String(), "\n"), min(want, 2); got != want {
			t.Errorf("level %q: %d lines on the terminal, want %d", level, got, want)
		}
	}
}

func TestTerminal(t *testing.T) {
	var screen bytes.Buffer
	log, _ := open(t, Options{Dir: t.TempDir(), Node: "m1", Stderr: &screen})
	log.Info("not for the terminal")
	log.Warn("replica is silent", "replica", "r2", "level", "one", "msg", "two")
	log.With("epoch", 3).WithGroup("g").Error("cannot \x1b[2Jgo on", "error", errors.New("two\nlines"))
	log.Warn("alone")
	want := `m1: warning: replica is silent replica=r2 level=one msg=two
m1: error: "cannot \x1b[2Jgo on" epoch=3 g.error="two\nlines"
m1: warning: alone
`
	if got := screen.String(); got != want {
		t.Errorf("terminal:\n%s\nwant\n%s", got, want)
	}
}

func TestColour(t *testing.T) {
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "")
	if !colored(terminal) {
		t.Error("a terminal gets no colour")
	}
	if colored(&bytes.Buffer{}) {
		t.Error("a buffer gets colour")
	}
	t.Setenv("TERM", "dumb")
	if colored(terminal) {
		t.Error("a dumb terminal gets colour")
	}
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "1")
	if colored(terminal) {
		t.Error("NO_COLOR is not heeded")
	}
	var b bytes.Buffer
	slog.New(newConsole(&b, "r1", true)).Warn("x")
	slog.New(newConsole(&b, "r1", true)).Error("y")
	if want := "r1: \x1b[33mwarning:\x1b[0m x\nr1: \x1b[31merror:\x1b[0m y\n"; b.String() != want {
		t.Errorf("coloured: %q, want %q", b.String(), want)
	}
}

func TestErrorIsWrittenAtOnce(t *testing.T) {
	dir := t.TempDir()
	log, _ := open(t, Options{Dir: dir})
	log.Error("e")
	if got := content(t, dir, "r1.log"); !strings.Contains(got, "msg=e") {
		t.Errorf("log after an error: %q", got)
	}
}

func TestWrittenEachSecond(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		log, closer := open(t, Options{Dir: dir})
		log.Info("i")
		if got := content(t, dir, "r1.log"); got != "" {
			t.Errorf("not buffered: %q", got)
		}
		<-time.After(flushEvery + time.Millisecond) // of the bubble's clock
		synctest.Wait()
		if got := content(t, dir, "r1.log"); !strings.Contains(got, "msg=i") {
			t.Errorf("log after a second: %q", got)
		}
		closed(t, closer)
	})
}

func TestAppendsAndCloses(t *testing.T) {
	dir := t.TempDir()
	for i := range 2 {
		log, closer := open(t, Options{Dir: dir})
		log.Info("run", "n", i)
		closed(t, closer)
		log.Error("too late")
		closed(t, closer)
	}
	got := content(t, dir, "r1.log")
	if strings.Count(got, "\n") != 2 || !strings.Contains(got, "n=0") || !strings.Contains(got, "n=1") || strings.Contains(got, "late") {
		t.Errorf("log:\n%s", got)
	}
}

func TestManyGoroutines(t *testing.T) {
	dir := t.TempDir()
	var screen testkit.Buffer
	log, closer := open(t, Options{Dir: dir, Stderr: &screen})
	var wg sync.WaitGroup

	const writers, each = 8, 500
	for w := range writers {
		wg.Go(func() {
			log := log.With("w", w)
			for i := range each {
				log.Info("line", "i", i, "pad", strings.Repeat("x", 100))
				if i%100 == 0 {
					log.Error("error", "i", i)
				}
			}
		})
	}

	wg.Wait()
	closed(t, closer)

	lines := 0
	for s := bufio.NewScanner(strings.NewReader(content(t, dir, "r1.log"))); s.Scan(); lines++ {
		if !strings.HasPrefix(s.Text(), "time=") || strings.Count(s.Text(), "time=") != 1 {
			t.Fatalf("torn line %q", s.Text())
		}
	}
	if want := writers * (each + each/100); lines != want {
		t.Errorf("%d lines, want %d", lines, want)
	}
	if got := strings.Count(screen.String(), "r1: error: error w="); got != writers*each/100 {
		t.Errorf("%d lines on the terminal, want %d", got, writers*each/100)
	}
}

func TestRotation(t *testing.T) {
	dir := t.TempDir()
	log, closer := open(t, Options{Dir: dir, Rotate: 100})
	for i := range 5 {
		log.Error("e", "n", i, "pad", strings.Repeat("x", 60)) // each is written at once
	}
	closed(t, closer)
	if got := content(t, dir, "r1.log"); strings.Count(got, "\n") != 1 || !strings.Contains(got, "n=4") {
		t.Errorf("log: %q", got)
	}
	if got := content(t, dir, "r1.1.log"); strings.Count(got, "\n") != 1 || !strings.Contains(got, "n=3") {
		t.Errorf("the part before: %q", got)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 2 {
		t.Errorf("%v, %v; want two files", files, err)
	}
}

func TestLongLine(t *testing.T) {
	dir := t.TempDir()
	log, closer := open(t, Options{Dir: dir})
	log.Info("before")
	log.Info("long", "v", strings.Repeat("x", 3*bufferSize))
	log.Info("after")
	closed(t, closer)
	got := content(t, dir, "r1.log")
	if strings.Count(got, "\n") != 3 || len(got) < 3*bufferSize || !strings.HasSuffix(got, "msg=after\n") {
		t.Errorf("%d bytes in %d lines", len(got), strings.Count(got, "\n"))
	}
}

// A full disk costs lines, and both terminal and log say so.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "r1.log")
	if err := os.Symlink("/dev/full", link); err != nil {
		t.Fatal(err)
	}
	var screen bytes.Buffer
	log, closer := open(t, Options{Dir: dir, Stderr: &screen})
	log.Error("first")
	log.Error("second")
	if got := strings.Count(screen.String(), "the log cannot be written"); got != 1 {
		t.Errorf("complained %d times, want once:\n%s", got, &screen)
	}
	if err := os.Remove(link); err != nil {
		t.Fatal(err)
	}
	s := closer.(*sink)
	s.mu.Lock()
	s.file.Close()
	s.file = nil // there is room again
	s.mu.Unlock()
	log.Error("third")
	closed(t, closer)
	got := content(t, dir, "r1.log")
	if !regexp.MustCompile(`could not be written" bytes=\d\d+\ntime=.* msg=third\n$`).MatchString(got) ||
		strings.Contains(got, "msg=second") {
		t.Errorf("log: %q", got)
	}
}

func TestCloseReportsAFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink("/dev/full", filepath.Join(dir, "r1.log")); err != nil {
		t.Fatal(err)
	}
	log, closer := open(t, Options{Dir: dir})
	log.Info("i")
	if err := closer.Close(); err == nil {
		t.Error("a log that could not be written was closed without an error")
	}
}

func TestBadOptions(t *testing.T) {
	dir := t.TempDir()
	for _, o := range []Options{
		{Dir: dir, Node: "m1", Level: "loud"}, {Dir: dir, Node: "m1", Format: "xml"},
		{Dir: dir}, {Dir: dir, Node: "../m1"}, {Dir: dir, Node: ".."}, {Dir: dir, Node: ".hidden"},
	} {
		if _, _, err := Open(o); !errors.Is(err, ErrOptions) {
			t.Errorf("%+v: %v, want ErrOptions", o, err)
		}
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Open(Options{Dir: file, Node: "m1"}); err == nil {
		t.Error("a file was taken for a directory")
	}
}

func TestFlags(t *testing.T) {
	var o Options
	flags := func() *pflag.FlagSet {
		f := pflag.NewFlagSet("test", pflag.ContinueOnError)
		Flags(f, &o)
		return f
	}
	if err := flags().Parse(nil); err != nil || o.Level != "info" || o.Format != Text || o.To != ToFile {
		t.Errorf("defaults: %+v, %v", o, err)
	}
	if err := flags().Parse([]string{"--log-level", "WARN", "--log-format=json", "--log=-"}); err != nil ||
		o.Level != "warn" || o.Format != JSON || o.To != ToStderr {
		t.Errorf("given: %+v, %v", o, err)
	}
	for _, args := range []string{"--log-level=loud", "--log-format=xml", "--log=here"} {
		if err := flags().Parse([]string{args}); err == nil || !strings.Contains(err.Error(), "want one of") {
			t.Errorf("%s: %v", args, err)
		}
	}
}

func BenchmarkLog(b *testing.B) {
	for _, format := range []string{Text, JSON} {
		log, _ := open(b, Options{Dir: b.TempDir(), Level: "debug", Format: format})
		b.Run(format, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				log.Debug("in", "kind", "DATA", "from", "r2", "rids", "17,18", "clock", 12345)
			}
		})
	}
	log, _ := open(b, Options{Dir: b.TempDir()})
	b.Run("disabled", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			log.Debug("in", "kind", "DATA", "from", "r2", "rids", "17,18", "clock", 12345)
		}
	})
}
