package sim

import "testing"

// TestMasterRestarts adds the death and return of the master to all other faults.
func TestMasterRestarts(t *testing.T) { run(t, WithRestarts, *seeds/8) }
