package send

import (
	"testing"

	"github.com/spf13/cobra"

	"quartet/client"
)

// The flag reads a TTL as a request does.
func TestTTLFlag(t *testing.T) {
	for text, want := range map[string]uint64{
		"90s": 90_000, "1.0005s": 1001, "87600h": 315_360_000_000,
		"999ms": 0, "1000000us": 0, "-5s": 0, "5": 0, "": 0, "87601h": 0,
	} {
		var e extras
		cmd := &cobra.Command{}
		e.ttlFlag(cmd)
		if err := cmd.Flags().Set("ttl", text); (err == nil) != (want > 0) {
			t.Errorf("--ttl %q: %v", text, err)
			continue
		}
		if want == 0 {
			continue
		}
		var r client.Request
		if e.apply(cmd, &r); r.TTL != want {
			t.Errorf("--ttl %q: %d ms, want %d", text, r.TTL, want)
		}
	}
}
