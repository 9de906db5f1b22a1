package testkit

import (
	"math/rand/v2"
	"net"
	"strconv"
	"testing"
)

// The ports that FreeAddress gives: those below which systems draw ports of outgoing connections.
const (
	lowestPort  = 15_000
	highestPort = 32_000
)

// FreeAddress is an address of this machine on which nobody listens, for what is to be found there
// again after it was stopped. No outgoing connection, and nothing that listens on any free port, is
// given its port meanwhile, as may happen with one that the system has drawn.
func FreeAddress(t testing.TB) string {
	t.Helper()
	for range 1000 {
		port := lowestPort + rand.IntN(highestPort-lowestPort)
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		l, err := net.Listen("tcp", address)
		if err != nil {
			continue // taken
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		return address
	}
	t.Fatal("no free port")
	return ""
}
