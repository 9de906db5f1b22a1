package masternode

import (
	"slices"
	"testing"

	"quartet/bus/server"
	"quartet/bus/testkit"
)

// A node has ended if it was found at its address and nobody listens there any more; where nobody
// was found before, nothing is known.
func TestM8NodesThatAreLookedFor(t *testing.T) {
	start := func(name, address string) *server.Server {
		s, err := server.Start(t.Context(), server.Options{
			Listen: "127.0.0.1:-1", Cluster: &server.Cluster{Name: name, Listen: address, Routes: []string{testkit.FreeAddress(t)}},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Shutdown)
		return s
	}
	here, there := testkit.FreeAddress(t), testkit.FreeAddress(t)
	l := &lookout{join: []string{here, there}, found: map[string]string{}}
	n2 := start("n2", here)
	if ended, isSure := l.ended(); len(ended) > 0 || isSure {
		t.Errorf("before n3 was found: %v, %t", ended, isSure)
	}
	n3 := start("n3", there)
	if ended, isSure := l.ended(); len(ended) > 0 || !isSure {
		t.Errorf("while both are there: %v, %t", ended, isSure)
	}

	n3.Shutdown()
	if ended, isSure := l.ended(); !slices.Equal(ended, []string{"n3"}) || !isSure {
		t.Errorf("n3 has ended: %v, %t", ended, isSure)
	}
	n2.Shutdown()
	start("n3", here) // its machine was given another address
	if ended, _ := l.ended(); len(ended) > 0 {
		t.Errorf("n3 is at another address: %v", ended)
	}
}
