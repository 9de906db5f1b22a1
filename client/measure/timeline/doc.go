// Package timeline is who ran when, on which processor, and who waited for whom, while a cluster
// and its load share a machine. It promises what the kernel's scheduler itself says, of all
// processes on one clock: where a machine has idle processors while requests wait, it tells waits
// for each other's answers from waits for a processor.
//
// It reads the events sched_switch and sched_waking of Linux's tracefs. The command
// quartet-timeline (task bench:timeline) records them under a load, and draws some batches.
package timeline
