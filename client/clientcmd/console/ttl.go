package console

import (
	"github.com/spf13/pflag"

	"quartet/bus"
)

// TTLFlag adds a flag --ttl, which is read as a request's TTL, to ms, which holds milliseconds; 0:
// none.
func TTLFlag(f *pflag.FlagSet, ms *uint64, usage string) {
	f.Var(&ttl{ms}, "ttl", usage)
}

// ttl is the value of a flag --ttl. It implements pflag.Value.
type ttl struct{ ms *uint64 }

// String implements pflag.Value.
func (t *ttl) String() string {
	isZero := t.ms == nil // with which pflag compares a default
	if isZero || *t.ms == 0 {
		return "0s"
	}
	return bus.FormatTTL(*t.ms)
}

// Type implements pflag.Value.
func (t *ttl) Type() string { return "duration" }

// Set implements pflag.Value.
func (t *ttl) Set(text string) error {
	ms, err := bus.ParseTTL(text)
	if err == nil {
		*t.ms = ms
	}
	return err
}
