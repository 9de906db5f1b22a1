package node

import (
	"io"
	"log/slog"
	"time"

	"quartet/bus/dial"
	"quartet/master/ledger"
)

// Tick is the unit in which the machine counts time.
const Tick = 10 * time.Millisecond

// Limits of the number of replicas.
const (
	MinReplicas = 1
	MaxReplicas = 9
)

// What survives with --dir: see --sync of the replica.
const (
	SyncInterval = "interval" // kill -9 of every process
	SyncAlways   = "always"   // a power cut
)

// What a linearizable get is: see master.Config.OrderedGets.
const (
	GetsFenced  = "fenced"  // read by one replica, confirmed by others
	GetsOrdered = "ordered" // an ordered operation, as a set is
)

// Options say what a master runs.
type Options struct {
	Listen        string         // of the embedded server
	AllowInsecure bool           // lets it listen beyond this machine without credentials and TLS
	NATS          string         // use these servers and embed none; names them to people
	Connection    *dial.Settings // how to reach them; nil: by NATS alone
	Prefix        string
	Replicas      int
	Missing       int // f: how many replicas may be missing; below 0: N minus the majority
	Dir           string
	Memory        bool
	Sync          string // of the replicas' disks: SyncInterval or SyncAlways; "": SyncInterval
	Gets          string // linearizable ones: GetsFenced or GetsOrdered; "": GetsFenced

	Timeout       time.Duration // a request without an outcome is answered 504
	CausalWait    time.Duration // passed on to the replicas
	OrphanTimeout time.Duration // passed on to the replicas
	Suspect       time.Duration // silence that makes a replica suspected; so long one that was stays out at first

	Executable string   // starts a replica when called as EXECUTABLE replica …
	Args       []string // passed on to the replicas: logging
	LogDir     string
	Version    string

	Stdout io.Writer // the ready line and the banner
	Log    *slog.Logger
	Ledger *ledger.Ledger
}
