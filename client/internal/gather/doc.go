// Package gather is the core that decides when the requests of a client leave, and together with
// which others: a lone one at once and by itself, those that come while others are on their way
// in batches. It promises that each leaves once, in order, and soon. It decides, and nothing else:
// no I/O, clock, goroutine or lock. Package client is its shell.
//
// # What is promised
//
//   - Every request leaves, once, in the order in which requests were added; twice only if it
//     is added again.
//   - A message has at most [Limits].Count requests and as many bytes as [Core.Begin] was given;
//     a request that is larger than that leaves by itself, and so does one that is marked so.
//   - A request that is added while nothing is on its way and nobody is due leaves at once, in
//     the call that adds it.
//   - No request is kept for more than [MostPatience] (10 ms), or, while replies are handed out,
//     longer than that takes. Then it leaves, at most [Linger] (0.1 ms) after the last of those
//     that come while it waits for goroutines that replies have just woken.
//
// # Why
//
// One message on its way, and the next one large, was measured faster than two or three smaller
// ones. So while a message has not been answered at all what comes gathers, for patience at the
// longest: batches grow with the load, and who waits for something slow keeps nobody for long.
// Patience is twice what a batch usually takes until its first answer, within bounds.
//
// # The states of what waits
//
//	Idle     nothing waits, nobody sends
//	Kept     requests wait for an answer, for the end of replies that are handed out, or for
//	         patience to end
//	Ordered  a flush was ordered of whoever got [Effect].Flush or [Effect].Wake, and will come
//	Sending  one goroutine sends; what comes meanwhile waits for its end
//
// What happens in which of them is one table (table.go). A dash is "nothing but the counts
// changes", and a cross is what no shell does.
//
//	          Added    Answered  Handed   Late     Begun    Ended
//	Idle      settle   -         -        -        -        x
//	Kept      -        answered  order    flush    close    x
//	Ordered   -        -         -        -        begin    x
//	Sending   -        -         -        -        -        settle
//
// settle finds what that which waits has to wait for: nothing (it leaves at once), goroutines
// that are due (the flusher lets them come first), an answer, or the end of a train of replies.
package gather
