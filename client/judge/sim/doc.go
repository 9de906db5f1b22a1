// Package sim is the simulation: a whole cluster from one seed in one thread. It runs the very
// machines that the processes run (replica.Machine, master.Machine), a network that loses,
// duplicates, delays, reorders and cuts, nodes that are slow or pause, a master that is restarted,
// and client sessions of all four models that follow the public contract. It promises that the same
// seed and the same commit give the same run, event for event.
//
// After every turn of a node it checks the protocol's invariants (invariants.go). In the
// end everything heals; then all that is pending must be answered within a bound, all
// replicas must be equal and at rest, and what the clients saw is judged by the checkers
// of package client/judge/history (judge.go).
//
// [Options] says everything that a run depends on; [FromSeed] draws it from a seed.
// README.md says how to reproduce a failure, and which mutants are caught by what.
//
// It is linked into no program, and imports no process: package archtest sees to that.
package sim
