package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// Bounds of durations that have none of their own: [Forever] is longer than anybody waits,
// and far below what a time.Duration can hold.
const (
	Moment  = 10 * time.Millisecond // the unit in which nodes count time
	Forever = 10_000 * time.Hour
)

// Duration adds a flag whose value is a duration from least to most. A duration beyond these
// bounds is refused where the flag, the variable or the file is read, and the refusal says the
// bound; so does the flag's help, where a duration can be too short by mistake.
func Duration(f *pflag.FlagSet, p *time.Duration, name string, value, least, most time.Duration, usage string) {
	*p = value
	if least >= Moment {
		usage += fmt.Sprintf("; at least %s", least)
	}
	f.Var(&duration{p, least, most}, name, usage)
}

// Int adds a flag whose value is a whole number from least to most. A number beyond these bounds
// is refused where the flag, the variable or the file is read, and the refusal says the bounds.
func Int(f *pflag.FlagSet, p *int, name string, value, least, most int, usage string) {
	*p = value
	f.Var(&number{p, least, most}, name, usage)
}

// OneOf adds a flag whose value is one of choices, in any letter case.
func OneOf(f *pflag.FlagSet, p *string, name, value string, choices []string, usage string) {
	*p = value
	f.Var(&choice{p, choices}, name, usage)
}

// NotEmpty adds a flag whose value is a text that cannot be empty: an empty one most often comes
// from a variable that is not set.
func NotEmpty(f *pflag.FlagSet, p *string, name, value, usage string) {
	*p = value
	f.Var(&text{p}, name, usage)
}

// choice is the value of a flag of [OneOf]. It implements pflag.Value.
type choice struct {
	value   *string
	choices []string
}

// String implements pflag.Value.
func (c *choice) String() string {
	if c.value == nil { // the zero value, with which pflag compares a default
		return ""
	}
	return *c.value
}

// Type implements pflag.Value.
func (c *choice) Type() string { return "string" }

// Set implements pflag.Value.
func (c *choice) Set(given string) error {
	for _, one := range c.choices {
		if strings.EqualFold(given, one) {
			*c.value = one
			return nil
		}
	}
	return fmt.Errorf("want one of %s", strings.Join(c.choices, ", "))
}

// text is the value of a flag of [NotEmpty]. It implements pflag.Value.
type text struct{ value *string }

// String implements pflag.Value.
func (t *text) String() string {
	if t.value == nil { // the zero value, with which pflag compares a default
		return ""
	}
	return *t.value
}

// Type implements pflag.Value.
func (t *text) Type() string { return "string" }

// Set implements pflag.Value.
func (t *text) Set(given string) error {
	if given == "" {
		return errors.New("it is empty: leave it out for the default")
	}
	*t.value = given
	return nil
}

// duration is the value of a flag of [Duration]. It implements pflag.Value.
type duration struct {
	value       *time.Duration
	least, most time.Duration
}

// String implements pflag.Value.
func (d *duration) String() string {
	if d.value == nil { // the zero value, with which pflag compares a default
		return "0s"
	}
	return d.value.String()
}

// Type implements pflag.Value.
func (d *duration) Type() string { return "duration" }

// Set implements pflag.Value.
func (d *duration) Set(text string) error {
	v, err := time.ParseDuration(text)
	switch {
	case err != nil:
		return errors.New("no duration (want a number and its unit, as in 50ms, 5s or 1m30s)")
	case v < d.least:
		return fmt.Errorf("too short: want at least %s", d.least)
	case v > d.most:
		return fmt.Errorf("too long: want at most %s", d.most)
	}
	*d.value = v
	return nil
}

// number is the value of a flag of [Int]. It implements pflag.Value.
type number struct {
	value       *int
	least, most int
}

// String implements pflag.Value.
func (n *number) String() string {
	if n.value == nil { // the zero value, with which pflag compares a default
		return "0"
	}
	return strconv.Itoa(*n.value)
}

// Type implements pflag.Value.
func (n *number) Type() string { return "int" }

// Set implements pflag.Value.
func (n *number) Set(text string) error {
	v, err := strconv.Atoi(text)
	if err != nil || v < n.least || v > n.most {
		return fmt.Errorf("want a whole number from %d to %d", n.least, n.most)
	}
	*n.value = v
	return nil
}
