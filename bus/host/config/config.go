// Package config is where a command's settings come from. It promises that each comes from the
// strongest of four places (its flag, its variable QUARTET_NAME, a file, its default), and that a
// user can see from which.
//
// A setting is a flag. The variable of --log-dir is QUARTET_LOG_DIR; an empty variable counts as
// none. A file is in TOML and is read where --config or QUARTET_CONFIG names it, and only then.
// Settings above its first table are for every command that has them; those in [master],
// [replica] and [client] are for these, and come first. [client] is for all commands that speak
// to a cluster.
//
//	prefix = "team.quartet"
//
//	[master]
//	dir      = "/var/lib/quartet"
//	replicas = 3
//	timeout  = "5s"
//
// A name that is no setting is an error that says where it stands, whatever command runs.
package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// ErrValue is wrapped by the error of a variable or a file that gives a setting a value that it
// cannot have.
var ErrValue = errors.New("config: wrong value")

// Level says how strong a place is. The greater one wins.
type Level uint8

// The places.
const (
	Default Level = iota
	FromFile
	FromEnvironment
	FromFlag
)

// Annotations of a flag.
const (
	originKey  = "quartet.origin" // where its value came from, unless from the command line: its level and a text
	excludeKey = "quartet.excludes"
	secretKey  = "quartet.secret"
	onlyKey    = "quartet.flag-only"
	aloneKey   = "quartet.alone"
)

// Variable returns the name of a setting's variable.
func Variable(flag string) string {
	return "QUARTET_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// Excludes says that a setting and others exclude each other: where they come from different
// places, only those from the strongest place count.
func Excludes(f *pflag.FlagSet, name string, others ...string) {
	annotate(f, name, excludeKey, others...)
}

// Secret says that a setting's value is never printed.
func Secret(f *pflag.FlagSet, name string) { annotate(f, name, secretKey, "true") }

// FlagOnly says that a flag is no setting: it says what a command is to do this time.
func FlagOnly(f *pflag.FlagSet, name string) { annotate(f, name, onlyKey, "true") }

// Alone says that where this flag is given only flags count, no variable and no file: a parent
// that gives it to its child has settled everything.
func Alone(f *pflag.FlagSet, name string) { annotate(f, name, aloneKey, "true") }

// annotate fails only for a flag that does not exist, a mistake of the program that every run of
// it would show.
func annotate(f *pflag.FlagSet, name, key string, values ...string) {
	if err := f.SetAnnotation(name, key, values); err != nil {
		panic(err)
	}
}

// Origin returns where a flag has its value from: "--listen", "QUARTET_LISTEN", "FILE:LINE", or
// "default".
func Origin(f *pflag.Flag) (Level, string) {
	if o := f.Annotations[originKey]; len(o) == 2 {
		return Level(o[0][0] - '0'), o[1]
	}
	if f.Changed {
		return FromFlag, "--" + f.Name
	}
	return Default, "default"
}

// Table is a table of a configuration file: the commands that it is for, and their flags that are
// settings.
type Table struct {
	Name     string
	Commands []*cobra.Command
	Settings []string // nil: all that are not FlagOnly
}

// Tables are all tables that a file may have.
type Tables []Table

// of returns the table of a command; nil: the command has no settings.
func (t Tables) of(cmd *cobra.Command) *Table {
	for i := range t {
		if slices.Contains(t[i].Commands, cmd) {
			return &t[i]
		}
	}
	return nil
}

// names returns a table's settings of one command, in alphabetical order.
func (t *Table) names(cmd *cobra.Command) []string {
	var list []string
	cmd.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
		noSetting := f.Name == "help" || f.Annotations[onlyKey] != nil || f.Annotations[aloneKey] != nil
		notOfTheTable := t.Settings != nil && !slices.Contains(t.Settings, f.Name)
		if noSetting || notOfTheTable {
			return
		}
		list = append(list, f.Name)
	})
	return list
}

// has reports whether a name is a setting of one of the table's commands.
func (t *Table) has(name string) bool {
	return slices.ContainsFunc(t.Commands, func(c *cobra.Command) bool { return slices.Contains(t.names(c), name) })
}

// Known refuses tables and settings that no command could use, and names all of them.
func (t Tables) Known(f *File) error {
	var wrong []error
	for _, e := range f.Entries {
		known, table := false, e.Table == ""
		for i := range t {
			if e.Table == "" || e.Table == t[i].Name {
				table = true
				known = known || t[i].has(e.Key)
			}
		}

		switch {
		case !table:
			wrong = append(wrong, f.wrong(e.Line, "unknown table [%s] (there are %s)", e.Table, t.list()))
		case !known && e.Table == "":
			wrong = append(wrong, f.wrong(e.Line, "unknown setting %q (quartet config lists those that there are)", e.Key))
		case !known:
			wrong = append(wrong, f.wrong(e.Line, "unknown setting %q in [%s] (quartet config %s lists those that there are)",
				e.Key, e.Table, e.Table))
		}
	}
	return errors.Join(wrong...)
}

// list names the tables, for an error.
func (t Tables) list() string {
	var names []string
	for i := range t {
		names = append(names, "["+t[i].Name+"]")
	}
	return strings.Join(names, ", ")
}

// found is a setting's value and where it came from.
type found struct {
	level Level
	value string
	from  string
}

// Apply gives the flags of a command that were not given on the command line the values that the
// environment and the file, which may be nil, have for them. getenv is [os.Getenv] or a stand-in.
func (t Tables) Apply(cmd *cobra.Command, getenv func(string) string, file *File) error {
	table := t.of(cmd)
	if table == nil {
		return nil
	}

	// What each setting would be.
	settings := map[string]found{}
	cmd.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
		if f.Changed { // also one that is no setting: it may exclude some
			settings[f.Name] = found{FromFlag, f.Value.String(), "--" + f.Name}
		}
	})
	for _, name := range table.names(cmd) {
		if s := look(cmd.Flags().Lookup(name), table.Name, getenv, file); s.level != Default {
			settings[name] = s
		}
	}

	// What a stronger place excludes does not count; the rest is set, unless it is set already.
	outdo(cmd.Flags(), settings)

	for _, name := range slices.Sorted(maps.Keys(settings)) {
		s := settings[name]
		if s.level == FromFlag {
			continue
		}
		if err := cmd.Flags().Set(name, s.value); err != nil {
			return fmt.Errorf("%w: %s: %w", ErrValue, s.from, err)
		}
		annotate(cmd.Flags(), name, originKey, string(rune('0'+s.level)), s.from)
	}
	return nil
}

// alone reports whether a flag is given that lets only flags count.
func alone(cmd *cobra.Command) (is bool) {
	cmd.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
		givenAlone := f.Changed && f.Annotations[aloneKey] != nil
		is = is || givenAlone
	})
	return is
}

// look finds the strongest place that has a value for a flag.
func look(f *pflag.Flag, table string, getenv func(string) string, file *File) found {
	if f.Changed {
		return found{FromFlag, f.Value.String(), "--" + f.Name}
	}
	if v := Variable(f.Name); getenv(v) != "" {
		return found{FromEnvironment, getenv(v), v}
	}

	var best found
	if file == nil {
		return best
	}
	for _, e := range file.Entries {
		forAll := e.Table == "" && best.level == Default // the command's own table comes first
		counts := e.Table == table || forAll
		if e.Key == f.Name && counts {
			best = found{FromFile, e.Value, fmt.Sprintf("%s:%d", file.Path, e.Line)}
		}
	}
	return best
}

// outdo removes the settings that a stronger place excludes. A switch that is off excludes
// nothing, and nothing excludes it.
func outdo(flags *pflag.FlagSet, settings map[string]found) {
	out := map[string]bool{}
	for name, s := range settings {
		for _, other := range flags.Lookup(name).Annotations[excludeKey] {
			o, ok := settings[other]
			if !ok || s.value == "false" || o.value == "false" {
				continue
			}

			switch {
			case s.level > o.level:
				out[other] = true
			case s.level < o.level:
				out[name] = true
			}
		}
	}

	for name := range out {
		delete(settings, name)
	}
}
