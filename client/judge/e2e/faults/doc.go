// Package faults is tests of real faults: they run real clusters of the quartet program, let client
// sessions work on them, kill, pause, cut off and restart real processes meanwhile, and have the
// recorded history judged by package history. It promises that what the public contract says of
// faults is seen from outside. README.md lists the scenarios, what is promised in each, and what
// was seen. There is no code but tests.
package faults
