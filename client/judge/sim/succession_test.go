package sim

import (
	"strings"
	"testing"

	"quartet/client/judge/mutants"
)

// bySuccession are the mutants that the tests of package succession hunt, which simulate masters
// among each other: by name, the test that catches each.
var bySuccession = map[string]string{
	"what others hear of a master that leads is not believed":                  "TestM2ACutLinkDeposesNobody",
	"all masters that stand by take over at once":                              "TestM3DeathsAreNoticedInTime",
	"a master that is outranked goes on":                                       "TestM4WhenALeaderStepsBack",
	"masters that were deposed are as patient as before":                       "TestM5PatienceGrows",
	"the next master begins before the one before has ended":                   "TestM6HandingOverKeepsADoorOpen",
	"doors are closed before the next master's are open":                       "TestM6HandingOverKeepsADoorOpen",
	"a master that forms no view counts as one that leads":                     "TestM7MastersThatFormNoView",
	"a beat that comes late is believed":                                       "TestM6HandingOverKeepsADoorOpen",
	"the end of an earlier process is taken for that of the one that is there": "TestM8AProcessThatHasEnded",
}

// Each rule of succession that is taken out is caught by the test that names it, which passes
// without.
func TestMutantsOfSuccessionAreCaught(t *testing.T) {
	binary, err := mutants.Build("../../..", t.TempDir(), "./master/succession")
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range bySuccession {
		if said, err := mutants.Command(binary, "", "-test.run=^"+test+"$").CombinedOutput(); err != nil {
			t.Errorf("%s fails without a mutant: %v\n%s", test, err, said)
		}
		said, err := mutants.Command(binary, name, "-test.run=^"+test+"$").CombinedOutput()
		isCaught := err != nil && strings.Contains(string(said), "--- FAIL: "+test)
		if !isCaught {
			t.Errorf("%q is not caught by %s: %v\n%s", name, test, err, said)
		}
	}
}
