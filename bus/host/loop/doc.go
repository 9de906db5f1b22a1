// Package loop is the loop by which a process drives a machine. It promises one owner and one
// order: a goroutine takes all that has arrived, steps the machine, puts on disk what the turn
// changed, and only then sends what came of it. Master and replica run the same loop; each brings a
// [Shell].
//
// A machine (package replica, package master) is pure: it decides, and nothing else. What it
// relies on is its shell's duty. The numbers below are those of the code's comments.
//
//  1. One owner. One goroutine makes the machine, steps it and looks at it. Callbacks of the bus
//     only append to the [bus.Inbox]; whoever else wants to know something asks by a [bus.Probe],
//     and is answered between two turns.
//  2. In order, once. Events are taken in the order of their arrival, each once. One may be lost
//     (the bus, or a full inbox, drops it): the protocols repair that. None is taken twice, and
//     none overtakes another of the same sender.
//  3. All at once. A turn takes everything that has arrived, with a tick if one is due, and ends
//     with one EndTurn. Nothing waits for more to come: the batch is what came meanwhile.
//  4. Ticks of 10 ms ([Tick]), and never more of them than time has passed. Ticks that were
//     missed, in a long turn or in a process that was paused, are not made up for.
//  5. Disk before send. What the turn changed is where the options promise it before anything of
//     the output leaves. If it cannot be put there, nothing of the turn leaves, then or later.
//  6. Nothing after the end. Once the machine has said that it must be silent (a broken
//     invariant, a newer master), nothing of its output leaves any more, of this turn either.
//  7. Sent in order, and forgotten. The messages of a turn leave in the order of the output. One
//     that cannot be sent is a lost message; it is counted and not sent again. Then the output is
//     empty again.
//  8. Nothing else waits. Within a turn a shell waits for its own disk and for nobody else. Work
//     that needs another (the store of the record, a server, a process) goes on beside the
//     loop, and its result comes by the inbox.
//  9. A name of its own. The shell draws what the machine may not: chance, and an incarnation
//     that is greater than that of any earlier process of the same name.
//  10. A clean stop settles. After the last turn, what was only in memory is put on disk.
//  11. What the machine may not look at it is told: a replica the clock on the wall, before each
//     tick, and whether its disk has room; a master, with each request, when it came. That may be
//     late, and the clock may jump: it moves when values end and what is refused, and nothing else.
//
// The loop itself keeps 1 to 7, given a Shell whose methods do what they say; 8 to 11 are the
// Shell's own. The simulation (client/judge/sim) is a shell, too: it keeps 1 to 7 by its own
// means, and breaks off a turn between any two steps of duty 5.
package loop
