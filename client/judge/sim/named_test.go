package sim

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"quartet/client/judge/mutants"
)

// byTests are the mutants that a package's own tests hunt: by the package and by name, the test
// that catches each. Package succession simulates masters among each other, package proposer
// masters and replicas that vote: with more handovers, and more ballots, than a whole cluster
// takes.
var byTests = map[string]map[string]string{
	"./master/succession": {
		"what others hear of a master that leads is not believed":                  "TestM2ACutLinkDeposesNobody",
		"all masters that stand by take over at once":                              "TestM3DeathsAreNoticedInTime",
		"a master that is outranked goes on":                                       "TestM4WhenALeaderStepsBack",
		"masters that were deposed are as patient as before":                       "TestM5PatienceGrows",
		"the next master begins before the one before has ended":                   "TestM6HandingOverKeepsADoorOpen",
		"doors are closed before the next master's are open":                       "TestM6HandingOverKeepsADoorOpen",
		"a master that forms no view counts as one that leads":                     "TestM7MastersThatFormNoView",
		"a beat that comes late is believed":                                       "TestM6HandingOverKeepsADoorOpen",
		"the end of an earlier process is taken for that of the one that is there": "TestM8AProcessThatHasEnded",
	},
	"./master/membership/proposer": {
		"promises of who has no vote are counted":                     "TestD1WhosePromisesCount",
		"promises of whoever answers are counted":                     "TestD1WhosePromisesCount",
		"only those who vote are asked":                               "TestD1WhosePromisesCount",
		"two masters that share their ballots":                        "TestD4OneRecordFollows",
		"whoever was outbid bids no higher":                           "TestD4OneRecordFollows",
		"what was accepted first is finished":                         "TestD4WhatWasAcceptedIsFinished",
		"votes of any ballot are counted":                             "TestD4OneRecordFollows",
		"answers from before a read began are counted":                "TestD4WhatWasAcceptedIsFinished",
		"whoever was outbid has lost":                                 "TestD4OneRecordFollows",
		"one of several first records is finished":                    "TestD5OneOfSeveralFirstRecordsIsDropped",
		"a first record is accepted by another process than it names": "TestD1WhoHasLostItsMemoryHasNoVote",
		"a record of another history is followed":                     "TestD7RecordsOfAnotherHistory",
		"an operator's record is decided by one":                      "TestD8AllWhomItNamesAccept",
		"all vote on what follows an operator's record":               "TestD8AnOperatorDecides",
	},
	"./master/membership": {
		"who is taken out is told at once":           "TestD6WhoIsTakenOutIsToldLate",
		"masters go on above others by one distance": "TestF12MastersThatGoOnAboveEachOther",
	},
	"./replica/acceptor": {
		"a vote of who has missed a record":                    "TestD1WhoVotes",
		"a vote of who is set aside":                           "TestD1WhoIsKeptFromVoting",
		"a vote of whose disk was put back":                    "TestD1WhoForgets",
		"promised below what was promised":                     "TestD3Promises",
		"a ballot is not promised with what is accepted":       "TestD3Promises",
		"what was promised holds for the next record, too":     "TestD3Promises",
		"a replica learns no record from who asks":             "TestD7WhatIsKnown",
		"a record of another history is learned":               "TestD7WhatIsKnown",
		"an operator's record is accepted by whoever is asked": "TestD8WhoIsNamedAccepts",
	},
}

// byTest is the test that hunts a mutant, or "".
func byTest(mutant string) string {
	for _, tests := range byTests {
		if test := tests[mutant]; test != "" {
			return test
		}
	}
	return ""
}

// Each rule that is taken out is caught by the test that names it, which passes without.
func TestMutantsAreCaughtByTests(t *testing.T) {
	for _, pkg := range slices.Sorted(maps.Keys(byTests)) {
		binary, err := mutants.Build("../../..", t.TempDir(), pkg)
		if err != nil {
			t.Fatal(err)
		}
		for name, test := range byTests[pkg] {
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
}
