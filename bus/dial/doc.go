// Package dial promises one place that knows how to reach a NATS server: it takes the
// settings that the nats command takes (flags, NATS_ variables, contexts), says of each
// where it came from, and makes connections with them.
//
// The stronger source wins, setting by setting: a flag, then the environment, then the
// context, then the default. How to prove who we are is one setting with several names
// (credentials, nkey, user, token): the strongest source that gives one of them decides,
// and the others are set aside. A user that stands in the URL counts as given where the URL was.
//
// The context is the one that --context or NATS_CONTEXT names: a name as the nats command
// knows it, or the absolute path of a file. Without one, and without a URL in a flag or in the environment,
// it is the one that the nats command has selected, so that both reach the same server.
// Where nothing at all is said the server is looked for at [DefaultURL].
//
// Contexts are read and used by orbit.go's natscontext, so that what it understands (nsc, a
// SOCKS proxy) is understood here. It hands out a context's settings only together with a
// connection, therefore this package reads the file once more, to say what is in it.
package dial
