// Package tune is what the Go runtime has to know of a node. It promises to tell it what kind of
// process a node is, unless the environment (GOGC, GOMAXPROCS) says otherwise.
//
// A node is one event loop that sleeps until a batch comes. With more processors than it
// can use, the runtime wakes threads that look for work and find none, and requests reach
// the loop one by one instead of in batches; on two cores that costs a cluster of four
// processes up to half of its throughput (client/measure/load/FIGURES.md). And a node makes
// garbage with every request: how much of it may lie about follows what is live (pace.go).
//
// What wakes a node is another process of the same machine, more often than not, in the midst of
// its turn: a server that has written the first of several messages, a client that is told of the
// first of many answers. A node that took the processor from it at once would find one message
// where a moment later there is a batch. So on Linux nodes wait until whoever runs is through
// (politely_linux.go; what that is worth: client/measure/load/FIGURES.md).
package tune

import (
	"os"
	"runtime"
)

// Replica tunes a replica's process, which gets a quarter of the processors. The replica's loop is
// to tell the [Awake] of its turns.
func Replica() *Awake { return apply(4, true) }

// Master tunes a master's process, which holds the NATS server too and gets half of the
// processors. The master's loop is to tell the [Awake] of its turns.
func Master() *Awake { return apply(2, true) }

// Cluster tunes a process that is a whole cluster and gets all of the processors.
func Cluster() { apply(1, false) }

// apply gives the process its share of the processors, one in so many. It returns nil where no
// processor is to be kept busy.
func apply(share int, awake bool) *Awake {
	if os.Getenv("GOGC") == "" {
		pace()
	}
	if os.Getenv("GOMAXPROCS") != "" {
		return nil
	}

	runtime.GOMAXPROCS(max(1, runtime.NumCPU()/share))
	if !awake {
		return nil
	}
	politely()
	if !sleeps {
		return nil
	}
	return newAwake()
}
