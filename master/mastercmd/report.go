package mastercmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"quartet/bus"
	"quartet/bus/dial"
	"quartet/bus/host/config"
	"quartet/bus/host/exit"
	"quartet/master/ledger"
	"quartet/master/ledger/page"
)

// reportTimeout is how long a running cluster may take to be found and to answer.
const reportTimeout = 5 * time.Second

// Report returns the command that prints the statistics of requests, or their list.
func Report(stdout io.Writer) *cobra.Command {
	var prefix, dir, output string
	var connection *dial.Flags
	var requests bool
	cmd := &cobra.Command{
		Use:   "report",
		Short: "Print the statistics of a cluster's requests, or their list",
		Long: `Print, per consistency and type, how many requests a cluster has had, how many of them
were answered (ok, or with "no value") and how many failed (refused, or of unknown
outcome), and the time that they took.

With --nats or --context the figures come from the running cluster, else from the files in
--log-dir, of a cluster that runs or has ended. The list of requests is read from
the files. The run before the last one is in the directory's folder "previous".

A master that stops writes report.html, one page that needs nothing else: figures,
pictures over time, the slowest requests and where their time went. -o html makes it of
the list, of a run that goes on or was killed; views and steps are not in the list.

Exit status: 0 printed, 1 there is no report, 2 wrong usage, 4 the master refused, or the NATS
server's permissions did, 5 it has not answered, 6 no cluster.`,
		Example: `  quartet report
  quartet report --nats nats://127.0.0.1:4222 -o json
  quartet report --requests -o csv
  quartet report --log-dir log/previous
  quartet report -o html > report.html`,
		Args: config.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			remote := connection.Asked()
			if output == asPage {
				return writePage(stdout, dir, remote || requests)
			}
			format, compact, err := parseFormat(output, requests)
			if err != nil {
				return exit.Usage(err)
			}
			switch {
			case remote && requests:
				return exit.Usage(errors.New("--requests reads the files in --log-dir; it cannot be asked of a cluster with --nats"))
			case remote && cmd.Flags().Changed("log-dir"):
				return exit.Usage(errors.New("--nats and --log-dir exclude each other"))
			case requests:
				return advise(ledger.WriteRequests(stdout, dir, format))
			}
			var s bus.Report
			if remote {
				s, err = ask(cmd.Context(), connection, prefix)
			} else {
				s, err = ledger.ReadDir(dir)
			}
			if err != nil {
				return advise(err)
			}
			if compact {
				return json.NewEncoder(stdout).Encode(s)
			}
			return format.Write(stdout, s)
		},
	}
	f := cmd.Flags()
	connection = dial.Add(f)
	config.NotEmpty(f, &prefix, "prefix", bus.DefaultPrefix, "of its subjects")
	config.NotEmpty(f, &dir, "log-dir", "log", "read the files in `DIR`")
	f.StringVarP(&output, "output", "o", string(ledger.Table),
		"table, csv, json, jsonl (one object a line; --requests -o json is that, too), raw (as it is kept) or html "+
			"(a page)")
	config.Excludes(f, "log-dir", "nats", "context") // those of the environment or a file
	f.BoolVar(&requests, "requests", false, "print the list of requests")
	return cmd
}

// asPage is the output that is a page.
const asPage = "html"

// writePage writes the page of the run whose files are in dir, as the list tells of it.
func writePage(stdout io.Writer, dir string, elsewhere bool) error {
	if elsewhere {
		return exit.Usage(errors.New("-o html is made of the files in --log-dir: it goes with neither --nats nor --context nor --requests"))
	}
	r, err := ledger.ReadRun(dir)
	if err != nil {
		return advise(err)
	}
	return page.Write(stdout, r)
}

// parseFormat reads -o. compact: the statistics as one JSON object on one line.
func parseFormat(output string, requests bool) (format ledger.Format, compact bool, err error) {
	switch output {
	case "jsonl":
		return ledger.JSON, true, nil
	case "raw":
		if requests {
			return ledger.CSV, false, nil
		}
		return ledger.JSON, true, nil
	}
	if format, err = ledger.ParseFormat(output); err != nil {
		return "", false, fmt.Errorf("unknown format %q (want table, csv, json, jsonl, raw or html)", output)
	}
	return format, false, nil
}

// advise adds what to do about a directory without reports.
func advise(err error) error {
	if errors.Is(err, ledger.ErrNoRun) {
		return fmt.Errorf("%w (name another --log-dir, or ask a running cluster with --nats)", err)
	}
	return err
}

// ask has the master of a running cluster answer.
func ask(ctx context.Context, connection *dial.Flags, prefix string) (bus.Report, error) {
	var s bus.Report
	subjects, err := bus.NewSubjects(prefix)
	if err != nil {
		return s, exit.Usage(err)
	}
	settings, err := connection.Resolve(os.Getenv)
	if err != nil {
		return s, exit.Usage(err)
	}

	ctx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	nc, err := bus.Dial(ctx, settings.Options("quartet report", nil))
	if err != nil {
		return s, exit.NoCluster(err)
	}
	defer nc.Close()

	m, err := bus.Ask(ctx, nc, subjects.Report(), nil, bus.ReportField)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return s, exit.NoCluster(fmt.Errorf("no cluster with the prefix %q at %s", prefix, nc.ConnectedUrlRedacted()))
	case errors.Is(err, bus.ErrPermission):
		return s, exit.With(exit.StatusRefused, err)
	case errors.Is(err, bus.ErrOthersAnswer):
		return s, exit.With(exit.StatusUnknown, err)
	case errors.Is(err, context.DeadlineExceeded):
		return s, exit.With(exit.StatusUnknown, fmt.Errorf("the master has not answered within %s", reportTimeout))
	case err != nil:
		return s, fmt.Errorf("asking the master for its report: %w", err)
	}

	if reason := m.Header.Get(bus.HeaderError); reason != "" {
		return s, exit.With(exit.StatusRefused, fmt.Errorf("the master refused: %s", reason))
	}
	return bus.ParseReport(m.Data)
}
