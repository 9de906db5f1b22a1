// Package supervise is the supervisor of the replicas' processes. It promises that a process runs
// for every replica that it was told to keep: when one ends, however, it is started again, at once
// when that is rare and ever more slowly when it is not, until it is dismissed or the stop has
// begun. Beside another process that speaks as the same replica none is started again, for of the
// two the later one would replace the other: two supervisors would do so in turn, without an end.
// What it knows of each (pid, starts in a row, last error, next try) can be asked for.
//
// With Options.Inside a replica is a goroutine of this very process. Everything else is
// the same, but that it can only be asked to end, and that nothing can be adopted.
//
// It knows nothing of the protocol: that a process lives does not mean that its replica
// works, and the other way round.
//
// A [Supervisor] has one owner, who calls [Supervisor.Step] now and then and brings the
// time. Between two calls nothing is started.
package supervise
