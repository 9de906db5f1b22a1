// Command quartet is a replicated key-value store on the NATS message bus in which
// every request names its consistency model. This file parses, starts and exits; the
// commands live beside what they do: master/mastercmd, replica/replicacmd, client/clientcmd.
package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"quartet/bus/host/config"
	"quartet/bus/host/exit"
	"quartet/client/clientcmd"
	"quartet/client/clientcmd/console"
	"quartet/client/judge/record"
	"quartet/client/webconsole"
	"quartet/master/inprocess"
	"quartet/master/mastercmd"
	"quartet/replica/replicacmd"
)

// version is set by the build (-ldflags "-X main.version=…").
var version = "0.1.0"

//go:embed testdata/requests
var requests embed.FS

func main() { os.Exit(run()) }

func run() int {
	root := &cobra.Command{
		Use:   "quartet",
		Short: "A replicated key-value store on NATS: every request names its consistency",
		Long: `quartet is a replicated key-value store on the NATS message bus in which every
request names its consistency model: 1 linearizable, 2 sequential, 3 causal,
4 eventual.`,
		Example: `  quartet master --memory                      run a cluster
  nats req quartet.request '1, 1, key ::: value'
  quartet get key --consistency eventual
  quartet client linear1 '4, 2, key1'          request files and requests
  quartet demo                                 eight clients at once, then the report`,
		Version:       version, // quartet --version
		SilenceErrors: true,
		SilenceUsage:  true,
	}

	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return exit.Usage(err) })
	root.AddGroup(groups...)

	stdout := console.NewOutput(os.Stdout)
	table := commands(stdout)
	root.AddCommand(table...)
	settings := tables(table)
	env := config.Env{Stdout: stdout, Stderr: os.Stderr, Getenv: os.Getenv, Environ: os.Environ}

	config.FileFlag(root)
	root.PersistentPreRunE = config.Before(settings, env)
	root.AddCommand(config.Command(settings, env))
	strict(root)

	for _, cmd := range root.Commands() {
		cmd.GroupID = groupOf[cmd.Name()]
	}
	root.SetUsageFunc(console.Usage)
	root.SetVersionTemplate(clientcmd.Release(version) + "\n")

	cmd, err := root.ExecuteC()
	ended := status(err)
	stdout.Failed(cmd, os.Args[1:], err, ended)
	if err != nil && err.Error() != "" {
		fmt.Fprintln(os.Stderr, "quartet:", err)
	}
	return ended
}

// groups are the parts of the table of commands, and groupOf says what stands in which.
var (
	groups = []*cobra.Group{
		{ID: "run", Title: "Run a cluster:"}, {ID: "ask", Title: "Talk to it:"},
		{ID: "look", Title: "See how it is:"}, {ID: "learn", Title: "Learn, measure, prove:"},
	}
	groupOf = map[string]string{
		"master": "run", "node": "run", "replica": "run", "recover": "run", "remove": "run", "lead": "run",
		"backup": "run", "restore": "run", "secure": "run",
		"client": "ask", "get": "ask", "set": "ask", "delete": "ask", "create": "ask", "update": "ask", "add": "ask",
		"txn": "ask", "list": "ask", "watch": "ask", "shell": "ask", "export": "ask", "import": "ask",
		"config": "look", "status": "look", "top": "look", "doctor": "look", "report": "look", "trace": "look", "console": "look",
		"explain": "learn", "demo": "learn", "bench": "learn", "compare": "learn", "check": "learn",
	}
)

// strict has the two commands that cobra itself adds refuse what they do not know.
func strict(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		switch cmd.Name() {
		case "help":
			cmd.Run = nil
			cmd.RunE = func(_ *cobra.Command, args []string) error {
				about, _, err := root.Find(args)
				if err != nil {
					return err
				}
				about.InitDefaultHelpFlag()
				return about.Help()
			}
		case "completion":
			cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		}
	}
}

// status is the exit status of a command. What cobra itself refuses (an unknown command,
// a missing flag, an argument too many) is wrong usage.
func status(err error) int {
	var known *exit.Error
	if err != nil && !errors.As(err, &known) && fromCobra(err) {
		return exit.StatusUsage
	}
	return exit.Status(err)
}

func fromCobra(err error) bool {
	for _, prefix := range []string{"unknown command", "required flag", "accepts ", "requires at least", "invalid argument"} {
		if strings.HasPrefix(err.Error(), prefix) {
			return true
		}
	}
	return false
}

// commands is the table of subcommands.
func commands(stdout io.Writer) []*cobra.Command {
	files, err := fs.Sub(requests, "testdata/requests")
	if err != nil {
		panic(err) // the embedded folder is part of the program
	}
	table := []*cobra.Command{
		mastercmd.Master(os.Stdout, os.Stderr, version, signals, inprocess.Replicas, beside),
		mastercmd.Node(os.Stdout, os.Stderr, version, signals, inprocess.Replicas, beside),
		replicacmd.Replica(os.Stderr, gently),
		mastercmd.Report(stdout),
	}
	return append(table, clientcmd.Commands(console.Env{
		Stdin: os.Stdin, Stdout: stdout, Stderr: os.Stderr, Getenv: os.Getenv, Requests: files, Version: version,
	})...)
}

// beside begins the console in the browser beside a master, which itself knows no client.
func beside(o mastercmd.ConsoleOptions) (mastercmd.Console, error) {
	s, err := webconsole.Listen(webconsole.Options{
		Listen: o.Listen, Write: o.Write, Runs: record.Runs, Prefix: o.Prefix, Inbox: o.Inbox, Version: o.Version, Secure: o.Secure,
		Log: o.Log,
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// tables says which settings a configuration file may have for which commands.
func tables(all []*cobra.Command) config.Tables {
	t := config.Tables{{Name: "master"}, {Name: "node"}, {Name: "replica"}, {Name: "client", Settings: clientcmd.Settings()}}
	for _, cmd := range all {
		switch cmd.Name() {
		case "master":
			t[0].Commands = append(t[0].Commands, cmd)
		case "node":
			t[1].Commands = append(t[1].Commands, cmd)
		case "replica":
			t[2].Commands = append(t[2].Commands, cmd)
		default:
			t[3].Commands = append(t[3].Commands, cmd)
		}
	}
	return t
}

// gently returns a context that ends at the first SIGINT or SIGTERM.
func gently() context.Context {
	ctx, _ := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	return ctx
}

// signals returns the two stages of being asked to stop.
func signals() mastercmd.Signals {
	got := make(chan os.Signal, 2)
	signal.Notify(got, os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithCancel(context.Background())
	now := make(chan struct{})
	go func() {
		<-got
		fmt.Fprintln(os.Stderr, "stopping; once more to stop at once")
		cancel()
		<-got
		close(now)
	}()
	return mastercmd.Signals{Gently: ctx, Now: now}
}
