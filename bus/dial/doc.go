// Package dial is how a program reaches a NATS server. It promises to take the settings that the
// nats command takes (flags, NATS_ variables, contexts), to say of each where it came from, and to
// make connections with them.
//
// The stronger source wins, setting by setting: a flag, then the environment, then the context,
// then the default. Credentials are one setting with several names (credentials file, nkey, user,
// token): the strongest source that gives one of them decides, and the others are set aside. A
// user in the URL counts as given where the URL was.
//
// The context is that of --context or NATS_CONTEXT: a name as the nats command knows it, or the
// absolute path of a file. Without one, and without a URL in a flag or in the environment, it is
// the context that the nats command has selected, so that both reach the same server. Without
// any setting the server is looked for at [DefaultURL].
//
// Contexts are read and used by orbit.go's natscontext, so that what it understands (nsc, a SOCKS
// proxy) is understood here. It hands out a context's settings only together with a connection,
// therefore this package reads the file once more, to say what is in it.
package dial
