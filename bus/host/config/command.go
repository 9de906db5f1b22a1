package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"quartet/bus"
	"quartet/bus/host/exit"
)

// FileVariable is the variable that names the file where --config does not.
const FileVariable = "QUARTET_CONFIG"

// FileFlag adds --config to a command and all commands below it.
func FileFlag(root *cobra.Command) {
	root.PersistentFlags().String("config", "", "read settings from `FILE` ("+FileVariable+"); see quartet config")
}

// Env is what the configuration knows of the world.
type Env struct {
	Stdout, Stderr io.Writer
	Getenv         func(string) string
	Environ        func() []string
}

// path returns the path of the configuration file; "": there is none.
func (e *Env) path(cmd *cobra.Command) string {
	if f := cmd.Flag("config"); f != nil && f.Changed {
		return f.Value.String()
	}
	return e.Getenv(FileVariable)
}

// file reads the configuration file, if one is named, and refuses settings that no command has.
func (t Tables) file(e *Env, cmd *cobra.Command) (*File, error) {
	path := e.path(cmd)
	if path == "" {
		return nil, nil
	}
	f, err := Read(path)
	if err != nil {
		return nil, err
	}
	return f, t.Known(f)
}

// Before returns what a root command runs before each command: it gives the command its
// settings. An error is wrong usage.
func Before(t Tables, e Env) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, _ []string) error {
		if t.of(cmd) == nil || alone(cmd) {
			return nil // nothing of a file or the environment is for it
		}

		f, err := t.file(&e, cmd)
		if err == nil {
			err = t.Apply(cmd, e.Getenv, f)
		}
		if err != nil {
			return exit.Usage(err)
		}
		return nil
	}
}

// Setting is one setting as quartet config prints it.
type Setting struct {
	Command  string `json:"command"`
	Setting  string `json:"setting"`
	Value    string `json:"value"` // of a secret, "***"
	From     string `json:"from"`  // --FLAG, QUARTET_NAME, FILE:LINE or default
	Variable string `json:"variable"`
}

// Command returns quartet config.
func Command(t Tables, e Env) *cobra.Command {
	var check, output string
	cmd := &cobra.Command{
		Use:   "config [COMMAND …] [-- FLAGS]",
		Short: "Print every setting with its value and where it comes from; check a file",
		Long: `Print every setting of commands (master, replica and client if none is named) with
its value and where that comes from: a flag, a variable, a file, or the default. The first
of these that has one counts.

  flag      --log-dir DIR
  variable  QUARTET_LOG_DIR=DIR
  file      log-dir = "DIR", in TOML, in the file that --config or QUARTET_CONFIG names

What stands above the first table of a file is for every command that has the setting;
[master], [replica] and [client] are for these and come first. [client] is for all commands
that speak to a cluster. The connection settings have the variables of the nats command,
too: QUARTET_NATS, then NATS_URL, then the file (quartet doctor prints what comes of them).
Secrets are not printed. A name that is no setting is an error.

Exit status: 0 printed, or the file is good; 2 something is wrong with the settings.`,
		Example: `  quartet config
  quartet config master --config quartet.toml
  quartet config master -o json -- --listen 127.0.0.1:-1 --memory
  quartet config --check quartet.toml
  QUARTET_NATS=nats://10.0.0.7:4222 quartet config get`,
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if check != "" {
				err = t.check(&e, check)
			} else {
				err = t.print(&e, cmd, args, output)
			}
			if err != nil {
				return exit.Usage(err)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&check, "check", "", "say what is wrong with `FILE`, all of it, and print nothing else")
	cmd.Flags().StringVarP(&output, "output", "o", "table", "table, json, jsonl (an object a line) or raw (SETTING=VALUE)")
	return cmd
}

// check tries every value of a file on the flags that it is for, and names all that are wrong.
func (t Tables) check(e *Env, path string) error {
	f, err := Read(path)
	if err != nil {
		return err
	}
	wrong := []error{t.Known(f)}
	for _, entry := range f.Entries {
		for i := range t {
			if entry.Table != "" && entry.Table != t[i].Name {
				continue
			}
			if err := t[i].try(entry); err != nil {
				wrong = append(wrong, f.wrong(entry.Line, "%s: %v", entry.Key, err))
				break
			}
		}
	}
	if err := errors.Join(wrong...); err != nil {
		return err
	}
	fmt.Fprintf(e.Stderr, "%s is good: %d settings\n", path, len(f.Entries))
	return nil
}

// try sets the entry's flag of each command that has it.
func (t *Table) try(entry Entry) error {
	for _, c := range t.Commands {
		if !slices.Contains(t.names(c), entry.Key) {
			continue
		}
		if err := c.Flags().Lookup(entry.Key).Value.Set(entry.Value); err != nil {
			return err
		}
	}
	return nil
}

// print prints the settings of commands. Flags after "--" are taken for theirs, as if each command
// had been given them.
func (t Tables) print(e *Env, cmd *cobra.Command, args []string, output string) error {
	var flags []string
	if at := cmd.ArgsLenAtDash(); at >= 0 {
		args, flags = args[:at], args[at:]
	}
	if len(args) == 0 {
		for i := range t {
			args = append(args, t[i].Name)
		}
	}

	file, err := t.file(e, cmd)
	if err != nil {
		return err
	}

	var list []Setting
	for _, name := range args {
		c := t.command(name)
		if c == nil {
			return fmt.Errorf("%q is no command with settings", name)
		}
		if err := c.ParseFlags(flags); err != nil {
			return err
		}
		if err := t.Apply(c, e.Getenv, file); err != nil {
			return err
		}
		list = append(list, t.settings(c)...)
	}

	t.warn(e)
	return write(e.Stdout, list, output)
}

// command returns the command of this name that has settings; nil: there is none.
func (t Tables) command(name string) *cobra.Command {
	for i := range t {
		for _, c := range t[i].Commands {
			if c.Name() == name {
				return c
			}
		}
	}
	return nil
}

// settings returns what quartet config prints of a command.
func (t Tables) settings(c *cobra.Command) []Setting {
	var list []Setting
	for _, name := range t.of(c).names(c) {
		f := c.Flags().Lookup(name)
		_, from := Origin(f)
		value := bus.Redact(f.Value.String())
		if f.Annotations[secretKey] != nil && value != "" {
			value = "***"
		}
		s := Setting{Command: c.Name(), Setting: name, Value: value, From: from, Variable: Variable(name)}
		list = append(list, s)
	}
	return list
}

// others are the variables that begin as those of settings do, and are none.
var others = []string{FileVariable, bus.EnvNodeUser, bus.EnvNodePassword, "QUARTET_REQUESTS", "QUARTET_HISTORY"}

// warn tells of variables that begin as those of settings do, and are not known.
func (t Tables) warn(e *Env) {
	for _, pair := range e.Environ() {
		name, _, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, "QUARTET_") || slices.Contains(others, name) || t.hasVariable(name) {
			continue
		}
		fmt.Fprintf(e.Stderr, "warning: %s is not the variable of any setting\n", name)
	}
}

func (t Tables) hasVariable(name string) bool {
	for i := range t {
		for _, c := range t[i].Commands {
			if slices.ContainsFunc(t[i].names(c), func(s string) bool { return Variable(s) == name }) {
				return true
			}
		}
	}
	return false
}

// write prints the settings in one of the formats of -o.
func write(w io.Writer, list []Setting, output string) error {
	switch output {
	case "table":
		return table(w, list)
	case "json":
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(list)
	case "jsonl":
		enc := json.NewEncoder(w)
		for i := range list {
			if err := enc.Encode(&list[i]); err != nil {
				return err
			}
		}
		return nil
	case "raw":
		for _, s := range list {
			if _, err := fmt.Fprintf(w, "%s=%s\n", s.Setting, s.Value); err != nil {
				return err
			}
		}
		return nil
	}
	return fmt.Errorf("unknown format %q (want table, json, jsonl or raw)", output)
}

// table prints the settings in columns, a paragraph a command.
func table(w io.Writer, list []Setting) error {
	columns := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	command := ""
	for _, s := range list {
		if s.Command != command {
			if command != "" {
				fmt.Fprintln(columns)
			}
			command = s.Command
			fmt.Fprintf(columns, "[%s]\tvalue\tfrom\n", command)
		}

		value := s.Value
		if value == "" {
			value = "-"
		}
		fmt.Fprintf(columns, "%s\t%s\t%s\n", s.Setting, value, s.From)
	}
	return columns.Flush()
}
