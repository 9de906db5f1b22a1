// Package doctor is the command doctor: what a connection was resolved to from which source, what
// is wrong with server, user, JetStream, cluster and replicas, and what to do about it. It promises
// a limit of 5 s for each question, and a remedy for each finding.
package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fatih/color"
	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"quartet/bus"
	"quartet/bus/dial"
	"quartet/bus/host/config"
	"quartet/bus/host/exit"
	"quartet/client/clientcmd/console"
)

// limit bounds one question of the doctor.
const limit = 5 * time.Second

// Command returns the command doctor.
func Command(env console.Env) *cobra.Command {
	var conn console.Connection
	var out console.Format
	var buckets []string
	cmd := &cobra.Command{
		Use:   "doctor [flags]",
		Short: "Say how the cluster is reached, and what is wrong with it",
		Long: `Say which connection settings were taken from where (secrets are not shown), then look
at the server, at what this user may do, at JetStream, and at the cluster and each of its
replicas, and at what this user may do as a client of NATS key-value. What is not as it
should be comes with what to do about it.

It sends one get under each of the four models, of a key that nobody needs to have; it
writes nothing. Marks: ok, note (worth knowing), !! (a finding).

Exit status: 0 all is well, 1 there are findings, 2 wrong usage, 6 no server or no cluster.`,
		Example: `  quartet doctor
  quartet doctor --context prod --prefix team.quartet
  quartet doctor --bucket orders
  quartet doctor -o json | jq '.checks[] | select(.state == "finding")'`,
		Args: config.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := console.Interruptible(cmd)
			defer cancel()
			settings, err := conn.Resolve()
			if err != nil {
				return err
			}
			if _, err := bus.NewSubjects(conn.Prefix); err != nil {
				return exit.Usage(err)
			}
			d := doctor{env: env, conn: &conn, settings: settings, buckets: buckets}
			d.examine(ctx)
			if err := d.print(env.Stdout, out); err != nil {
				return err
			}
			return exit.Silent(d.status)
		},
	}
	conn.Flags(cmd.Flags(), env)
	out.Flag(cmd.Flags())
	cmd.Flags().StringSliceVar(&buckets, "bucket", nil, "`NAMES` of key-value buckets to look at, joined by commas (default all)")
	return cmd
}

// The states of a check.
const (
	checkOK      = "ok"
	checkNote    = "note"
	checkFinding = "finding"
)

// check is one thing that the doctor has looked at.
type check struct {
	What   string `json:"what"`
	State  string `json:"state"`
	Text   string `json:"text"`
	Remedy string `json:"remedy,omitempty"` // of a finding; of a note where there is one
}

// doctor looks at everything between this command and the replicas.
type doctor struct {
	env      console.Env
	conn     *console.Connection
	settings *dial.Settings
	buckets  []string // that are looked at; none: all
	checks   []check
	status   int

	refused    context.CancelCauseFunc // ends the wait for what the server has refused
	mu         sync.Mutex
	skip       context.CancelCauseFunc // ends the wait for the answer to a question that only the doctor asks
	violations []string                // what the server said of our permissions
	reads      bool                    // the server has refused a request: this user may read alone, or nothing
	requests   string                  // what it said then
	trying     string                  // a subject on which this user need not be let to publish
	tryRefused bool                    // the server has refused it
}

func (d *doctor) ok(what, format string, args ...any) {
	d.checks = append(d.checks, check{What: what, State: checkOK, Text: fmt.Sprintf(format, args...)})
}

func (d *doctor) note(what, text, remedy string) {
	d.checks = append(d.checks, check{What: what, State: checkNote, Text: text, Remedy: remedy})
}

func (d *doctor) finding(what, text, remedy string) {
	d.checks = append(d.checks, check{What: what, State: checkFinding, Text: text, Remedy: remedy})
	d.status = max(d.status, exit.StatusFailed)
}

// examine looks at one thing after the other, as far as it gets.
func (d *doctor) examine(ctx context.Context) {
	d.lookAtSettings()
	d.lookAtOwnCertificate()
	nc := d.reach(ctx)
	if nc == nil {
		return
	}
	defer nc.Close()
	whole := ctx
	ctx, d.refused = context.WithCancelCause(ctx)
	defer d.refused(nil)
	d.lookAtContext()
	d.lookAtServer(ctx, nc)
	d.lookAtCertificates(ctx, nc)
	d.lookAtUser(ctx, nc)
	d.lookAtJetStream(ctx, nc)
	d.lookAtCluster(ctx, nc)
	if d.status != exit.StatusNoCluster {
		d.lookAtRole(whole, nc)
		d.lookAtBuckets(whole, nc) // whatever else was refused
	}
	d.lookAtPermissions()
}

func (d *doctor) lookAtSettings() {
	prefix := d.settings.InboxPrefix()
	belowTheClusters := strings.HasPrefix(prefix+".", d.conn.Prefix+".")
	if prefix != "" && belowTheClusters {
		d.finding("inbox prefix", fmt.Sprintf("reply subjects would begin with %s, which is the cluster's own: it "+
			"drops such requests unanswered", prefix),
			"choose another --inbox-prefix")
	}
}

// reach connects; nil where that fails, with the reason among the checks.
func (d *doctor) reach(ctx context.Context) *nats.Conn {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	o := d.settings.Options("quartet doctor", nil)
	connect := o.Connect
	o.Connect = func(options ...nats.Option) (*nats.Conn, error) {
		return connect(append(slices.Clone(options),
			nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { d.violated(err) }))...)
	}
	nc, err := bus.Dial(ctx, o)
	if err == nil {
		return nc
	}
	text := err.Error()
	switch {
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired), errors.Is(err, nats.ErrAuthRevoked):
		d.finding("server", text,
			"the server does not let us in: look above where user, credentials or token came from, and give others "+
				"(--creds, --user, --token, --context)")
	case strings.Contains(text, "tls:") || strings.Contains(text, "x509:") || errors.Is(err, nats.ErrSecureConnRequired):
		d.finding("server", text,
			"the two sides do not agree on TLS: --tlsca names the authorities to trust, --tlscert and --tlskey our "+
				"own certificate")
	default:
		d.finding("server", text, "start a cluster with: quartet master --memory; or say where it is: --nats, --context, NATS_URL")
		d.status = exit.StatusNoCluster
	}
	return nil
}

// violated is called when the server refuses something.
func (d *doctor) violated(err error) {
	if !errors.Is(err, nats.ErrPermissionViolation) {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.trying != "" && strings.Contains(err.Error(), `"`+d.trying+`"`) {
		d.tryRefused = true
		d.skip(err)
		return
	}
	if strings.Contains(err.Error(), `"$`) {
		if d.skip != nil {
			d.skip(err)
		}
		return
	}
	if strings.Contains(err.Error(), `"`+d.conn.Prefix+`.led"`) {
		return // a client goes without
	}

	isRequest := strings.Contains(err.Error(), `"`+d.conn.Prefix+`.request"`)
	if isRequest {
		d.reads = true // a client then tries where only reads are served
		d.requests = err.Error()
		return
	}
	if d.reads && strings.Contains(err.Error(), `"`+d.conn.Prefix+`.read"`) {
		d.violations = append(d.violations, d.requests)
	}
	d.violations = append(d.violations, err.Error())
	d.refused(err)
}

// aside returns a context for a question that only the doctor asks. It ends when the
// server refuses the question; its cause is then what the server has said.
func (d *doctor) aside(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	ctx, skip := context.WithCancelCause(ctx)
	d.mu.Lock()
	d.skip = skip
	d.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, limit)
	return ctx, func() { cancel(); skip(nil) }
}

// denied reports whether the server has refused something.
func (d *doctor) denied() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.violations) > 0
}

// diagnosis is what -o json prints.
type diagnosis struct {
	Settings []dial.Setting `json:"settings"`
	Prefix   string         `json:"prefix"`
	Checks   []check        `json:"checks"`
}

func (d *doctor) print(w io.Writer, out console.Format) error {
	var b strings.Builder
	switch out {
	case console.JSON:
		return out.Object(w, diagnosis{d.settings.List(), d.conn.Prefix, d.checks})
	case console.JSONL:
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		for _, c := range d.checks {
			if err := enc.Encode(c); err != nil {
				return fmt.Errorf("write the result: %w", err)
			}
		}
	case console.Raw:
		for _, c := range d.checks {
			fmt.Fprintf(&b, "%s\t%s\t%s\t%s\n", c.State, c.What, c.Text, c.Remedy)
		}
	default:
		d.table(&b, console.PaletteFor(d.env, w))
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	return nil
}

func (d *doctor) table(b *strings.Builder, p console.Palette) {
	b.WriteString("connection\n")
	for _, s := range append(d.settings.List(), dial.Setting{Name: "prefix", Value: d.conn.Prefix, From: "--prefix or its default"}) {
		fmt.Fprintf(b, "  %-17s %s  %s", s.Name, console.Printable([]byte(s.Value)), p.Paint("("+s.From+")", color.Faint))
		if s.Unused != "" {
			b.WriteString(p.Paint("  set aside: "+s.Unused, color.FgYellow))
		}
		b.WriteString("\n")
	}
	b.WriteString("\nchecks\n")
	marks := map[string]string{
		checkOK: p.Paint("ok  ", color.FgGreen), checkNote: p.Paint("note", color.FgYellow), checkFinding: p.Paint("!!  ", color.FgRed),
	}
	for _, c := range d.checks {
		fmt.Fprintf(b, "  %s %-12s %s\n", marks[c.State], c.What, console.Printable([]byte(c.Text)))
		if c.Remedy != "" {
			fmt.Fprintf(b, "  %-17s → %s\n", "", c.Remedy)
		}
	}
}
