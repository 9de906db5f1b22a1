// Package tracecmd is the command trace: the messages of one request, or of every request as
// it ends, with their clocks. It promises to send nothing but the request that
// it is given: the nodes do no work for it.
package tracecmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"quartet/bus"
	"quartet/bus/dial"
	"quartet/bus/host/config"
	"quartet/bus/host/exit"
	"quartet/bus/model"
	"quartet/client"
	"quartet/client/clientcmd/console"
	"quartet/client/requestfile"
	"quartet/client/trace"
)

// tracing is what the command is told.
type tracing struct {
	env    console.Env
	conn   console.Connection
	out    console.Format
	follow bool
	count  int
	wait   time.Duration
	logDir string
	svg    string
}

// Command returns the command trace.
func Command(env console.Env) *cobra.Command {
	t := tracing{env: env}
	cmd := &cobra.Command{
		Use:   "trace [flags] REQUEST | RID | --follow",
		Short: "Show who said what to whom about a request",
		Long: `Show the messages of a request as a space-time diagram: the client, the master, the
replicas; what was said, when, and at which Lamport time of its sender.

  quartet trace '1, 1, key ::: value'   sends the request, and shows what came of it; of a
                                        watch how it begins
  quartet trace --follow                shows each request as it ends, whoever sent it
  quartet trace RID                     waits for that request, or with --log-dir looks for
                                        it in what the nodes have logged at level debug

It listens on the bus, so it sees only what is said while it listens; for the past there
are logs. It costs the cluster nothing but the copies that the server sends. Replies are
seen if the server lets us listen to the clients' inboxes.

Times are those at which it heard a message. Requests that travelled together share
messages: "with 3 other requests".

Exit status: 0 shown, 1 not seen, 2 wrong usage, 4 and 5 the request's own, 6 no cluster.`,
		Example: `  quartet trace '1, 1, key ::: value'
  quartet trace 'causal, get, key' --svg get.svg
  quartet trace --follow --count 10 -o jsonl
  quartet trace 17 --log-dir log`,
		Args: config.UsageArgs(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := console.Interruptible(cmd)
			defer cancel()
			return t.run(ctx, args)
		},
	}
	f := cmd.Flags()
	t.conn.Flags(f, env)
	t.conn.NameFlag(f)
	f.BoolVarP(&t.follow, "follow", "f", false, "show every request as it ends")
	config.Int(f, &t.count, "count", 0, 0, math.MaxInt, "with --follow: end after `N` requests; 0: never")
	config.Duration(f, &t.wait, "wait", 30*time.Second, config.Moment, config.Forever, "how long to wait for the request with that RID")
	config.NotEmpty(f, &t.logDir, "log-dir", "", "`DIR` with the nodes' logs, for a request of the past")
	config.NotEmpty(f, &t.svg, "svg", "", "draw it in `FILE`, too; with --follow the RID comes before its ending")
	t.out.Flag(f)
	return cmd
}

func (t *tracing) run(ctx context.Context, args []string) error {
	rid, isRID := uint64(0), false
	if len(args) == 1 {
		n, err := strconv.ParseUint(strings.TrimSpace(args[0]), 10, 64)
		rid, isRID = n, err == nil
	}

	ofOne := len(args) > 0 || t.logDir != ""
	switch {
	case t.follow && ofOne:
		return exit.Usage(errors.New("--follow shows all requests that come: it takes no request, RID or --log-dir"))
	case t.logDir != "" && !isRID:
		return exit.Usage(errors.New("--log-dir needs the RID of a request of the past (a reply and requests.csv have it)"))
	case t.logDir != "":
		return t.fromLogs(rid)
	case !t.follow && len(args) == 0:
		return exit.Usage(errors.New("what to trace? give a request like '1, 1, key ::: value', an RID, or --follow"))
	}

	var request requestfile.Request
	if !t.follow && !isRID {
		requests, err := console.Read(console.Env{Requests: t.env.Requests, Getenv: func(string) string { return "" }}, nil, args, 0)
		if err != nil {
			return exit.Usage(err)
		}
		if len(requests) != 1 {
			return exit.Usage(fmt.Errorf("%s holds %d requests: trace takes one", args[0], len(requests)))
		}
		request = requests[0]
	}

	nc, subjects, inbox, err := t.dial(ctx)
	if err != nil {
		return err
	}
	defer nc.Close()

	c, err := client.New(nc, t.conn.Options()...)
	switch {
	case errors.Is(err, client.ErrPermission):
		return exit.With(exit.StatusRefused, err)
	case err != nil:
		return exit.Usage(err)
	}
	defer c.Close()

	if !t.follow && !isRID {
		// Once we listen to all subjects the server no longer says that nobody else does.
		if _, err := c.Status(ctx); err != nil {
			return exit.With(console.ExitStatus(err), err)
		}
	}

	w, err := trace.Watch(nc, subjects, inbox)
	switch {
	case errors.Is(err, bus.ErrPermission):
		return exit.With(exit.StatusRefused,
			fmt.Errorf("%w: trace listens to all that the cluster says; with --log-dir it reads the nodes' logs "+
				"instead", err))
	case err != nil:
		return err
	}
	defer w.Close()

	switch {
	case t.follow:
		return t.all(ctx, w)
	case isRID:
		fmt.Fprintf(t.env.Stderr, "listening for request %d, %s at the most; of the past tell logs: --log-dir DIR\n", rid, t.wait)
		return t.one(ctx, w, rid)
	}
	return t.own(ctx, w, c, request)
}

// dial connects, and returns what to listen to: the cluster's subjects and the prefix of inboxes.
func (t *tracing) dial(ctx context.Context) (*nats.Conn, bus.Subjects, string, error) {
	subjects, err := bus.NewSubjects(t.conn.Prefix)
	if err != nil {
		return nil, subjects, "", exit.Usage(err)
	}
	settings, err := t.conn.Resolve()
	if err != nil {
		return nil, subjects, "", err
	}
	nc, err := bus.Dial(ctx, settings.Options(t.conn.Name+" trace", nil))
	switch {
	case errors.Is(err, nats.ErrAuthorization):
		err = fmt.Errorf("%w\nsee which credentials were taken from where: quartet doctor", err)
	case errors.Is(err, dial.ErrSetting):
		err = exit.Usage(err)
	case err != nil:
		err = exit.NoCluster(fmt.Errorf("%w\nstart a cluster with: quartet master --memory\nor see where it was "+
			"looked for: quartet doctor", err))
	}
	return nc, subjects, settings.InboxPrefix(), err
}

// own sends a request and shows it. The exit status is that of its reply.
func (t *tracing) own(ctx context.Context, w *trace.Watcher, c *client.Client, request requestfile.Request) error {
	if request.Type == model.Watch {
		return t.begins(ctx, w, c, request)
	}
	result, failed := c.Do(ctx, console.Outgoing(request))
	if result.RID == 0 {
		return exit.With(max(console.ExitStatus(failed), exit.StatusFailed), fmt.Errorf("nothing to show: %w", failed))
	}
	if err := t.one(ctx, w, result.RID); err != nil {
		return err
	}
	return exit.With(console.ExitStatus(failed), ignoreAnswers(failed))
}

// begins has a watch begin, and shows how, up to its first event; it ends with that.
func (t *tracing) begins(ctx context.Context, w *trace.Watcher, c *client.Client, request requestfile.Request) error {
	ctx, cancel := context.WithTimeout(ctx, t.wait)
	defer cancel()
	opts := []client.RequestOption{client.With(request.Model)}
	if after, given := request.Request.Request.After(); given {
		opts = append(opts, client.FromRevision(after))
	}
	refused := make(chan error, 1)
	go func() {
		for _, err := range c.Watch(ctx, request.Key, opts...) {
			if err != nil {
				refused <- err
				return
			}
		}
	}()

	for {
		select {
		case got := <-w.Traces():
			isIt := got.Type == model.Watch.Word() && got.Client == t.conn.Name && got.Key == request.Key
			if isIt {
				return t.show(got, t.svg)
			}
		case err := <-refused:
			return exit.With(max(console.ExitStatus(err), exit.StatusFailed), fmt.Errorf("nothing to show: %w", err))
		case <-ctx.Done():
			return fmt.Errorf("the watch was not seen to begin in %s", t.wait)
		}
	}
}

// ignoreAnswers makes nothing of the error of a get without a value: that is an answer.
func ignoreAnswers(err error) error {
	if console.ExitStatus(err) == exit.StatusOK {
		return nil
	}
	return err
}

// one waits for a request and shows it.
func (t *tracing) one(ctx context.Context, w *trace.Watcher, rid uint64) error {
	ctx, cancel := context.WithTimeout(ctx, t.wait)
	defer cancel()
	got, err := w.Await(ctx, rid)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("request %d was not seen in %s: trace sees only what is said while it listens\n"+
			"of the past tell logs that were written at level debug: quartet trace %d --log-dir DIR\n"+
			"or send a request and trace it: quartet trace '1, 2, key'", rid, t.wait, rid)
	case err != nil:
		return fmt.Errorf("request %d was not seen: %w", rid, err)
	}
	return t.show(got, t.svg)
}

// all shows requests as they end.
func (t *tracing) all(ctx context.Context, w *trace.Watcher) error {
	fmt.Fprintln(t.env.Stderr, "listening; Ctrl-C ends it")
	for shown := 0; t.count == 0 || shown < t.count; shown++ {
		select {
		case got := <-w.Traces():
			svg := t.svg
			if svg != "" {
				ending := filepath.Ext(svg)
				svg = fmt.Sprintf("%s-%d%s", strings.TrimSuffix(svg, ending), got.RID, ending)
			}
			if err := t.show(got, svg); err != nil {
				return err
			}
		case <-ctx.Done():
			return t.missed(w)
		}
	}
	return t.missed(w)
}

// missed says what could not be shown.
func (t *tracing) missed(w *trace.Watcher) error {
	if messages, requests := w.Missed(); messages+requests > 0 {
		fmt.Fprintf(t.env.Stderr,
			"more was said than could be followed: %d messages were missed, %d requests forgotten\n", messages,
			requests)
	}
	return nil
}

func (t *tracing) fromLogs(rid uint64) error {
	got, err := trace.ReadLogs(t.logDir, rid)
	if err != nil {
		return err
	}
	return t.show(got, t.svg)
}

func (t *tracing) show(got *trace.Trace, svg string) error {
	if svg != "" {
		f, err := os.Create(svg)
		if err != nil {
			return fmt.Errorf("draw: %w", err)
		}
		if err := errors.Join(got.SVG(f), f.Close()); err != nil {
			return fmt.Errorf("draw: %w", err)
		}
	}
	text := got.Text() + "\n"
	switch t.out {
	case console.JSON, console.JSONL:
		return t.out.Object(t.env.Stdout, got)
	case console.Raw: // one message a line
		text = ""
		for _, e := range got.Events {
			text += fmt.Sprintf("%d\t%s\t%s\t%s\t%s\t%d\n", got.RID, e.At.UTC().Format(time.RFC3339Nano), e.Kind, e.From, e.To, e.Clock)
		}
	}
	if _, err := io.WriteString(t.env.Stdout, text); err != nil {
		return fmt.Errorf("write the trace: %w", err)
	}
	return nil
}
