//go:build !darwin

package replicanode

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"strings"
)

// bootID differs after each start of the machine. Where the system does not say, each
// start of the process counts as one of the machine: that costs a loading after every
// unclean stop, and claims nothing that is not so.
func bootID() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if errors.Is(err, fs.ErrNotExist) {
		return rand.Text(), nil
	}
	return strings.TrimSpace(string(b)), err
}
