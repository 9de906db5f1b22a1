package mastercmd

import (
	"log/slog"
	"sync"

	"quartet/bus"
	"quartet/bus/secure"
)

// ConsoleOptions say what a console in the browser is told that is served beside a master.
type ConsoleOptions struct {
	Listen  string // HOST:PORT; "": there is none
	Write   bool   // keys may be changed
	Prefix  string // of the cluster's subjects
	Inbox   string // prefix of inboxes, beside the usual one; "": none
	Version string
	Secure  *secure.Identity // whose clients it lets in, by their certificates; nil: whoever is on this machine
	Log     *slog.Logger
}

// Console is a console that runs. It is a client like any other: it needs the cluster's NATS server
// and nothing of the master.
type Console interface {
	URL() string
	Attach(read, write bus.DialOptions) // has it connect for those who may read, and write, in the background; once
	Close() error
}

// show begins the console. Where the server is embedded it looks for the cluster once that is
// ready.
func (o *settings) show() (Console, error) {
	told := o.console
	told.Prefix, told.Version, told.Secure, told.Log = o.Prefix, o.Version, o.Secure, o.Log
	if o.Connection != nil {
		told.Inbox = o.Connection.InboxPrefix()
	}
	c, err := o.beside(told)
	if err != nil {
		return nil, err
	}

	o.Console = c.URL()
	if o.Connection != nil { // servers that are there, whoever leads
		to := o.Connection.Options(consoleName, o.Log)
		c.Attach(to, to)
		return c, nil
	}

	var once sync.Once // a master may come to lead more than once
	o.Guests = func(read, write bus.DialOptions) {
		read.Name, read.Log, write.Name, write.Log = consoleName, o.Log, consoleName, o.Log
		once.Do(func() { c.Attach(read, write) })
	}
	return c, nil
}

// consoleName is how the console's connection is called in the server's lists.
const consoleName = "quartet console"
