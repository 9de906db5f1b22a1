// Package succession is the decision which of several masters leads: when one that stands by takes
// over, when one that leads steps back, and how leading is handed over on purpose (rules M1 to M8
// of replica/DESIGN.md). It promises that masters which hear each other agree on one within a few
// suspicion times, and that the one that leads is not deposed while any master in reach hears it.
// It promises nothing of safety: two that lead at once are harmless by the protocol of views.
//
//	beat.go     what masters say of themselves
//	machine.go  roles, and what changes them
//	hand.go     handing over: by an operator's word, or because a process stops
//
// [Machine] is pure: it takes beats and ticks, and hands out acts for its shell.
package succession
