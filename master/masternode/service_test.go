package masternode

import "testing"

// The nats CLI passes over a service whose version is not as semver.org has it.
func TestVersionsOfTheService(t *testing.T) {
	for v, want := range map[string]string{
		"0.1.0": "0.1.0", "v1.22.333": "1.22.333", "1.0.0-rc.1": "1.0.0-rc.1", "0.1.0-5-gabc012+dirty.2": "0.1.0-5-gabc012+dirty.2",
		"in-process": "0.0.0+in-process", "": "0.0.0", "1.2": "0.0.0+1-2", "01.2.3": "0.0.0+01-2-3",
		"1.0.0-01": "0.0.0+1-0-0-01", "a b\né": "0.0.0+a-b--",
	} {
		if got := semantic(v); got != want {
			t.Errorf("%q: %q, want %q", v, got, want)
		}
	}
}
