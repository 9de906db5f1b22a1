package masternode

import (
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/dial"
	"quartet/bus/host/loop"
	"quartet/bus/host/tune"
	"quartet/bus/lamport"
	"quartet/bus/secure"
	"quartet/master/ledger"
)

// Limits of the number of replicas.
const (
	MinReplicas = 1
	MaxReplicas = 9
)

// The least that durations of [Options] may be.
const (
	LeastTimeout       = loop.Tick
	LeastOrphanTimeout = loop.Tick
	LeastSuspect       = 10 * loop.Tick
)

// What survives with --dir: see --sync of the replica.
const (
	SyncInterval = "interval" // kill -9 of every process
	SyncAlways   = "always"   // a power cut
)

// Where the record of the views is: see rule D9 of replica/DESIGN.md.
const (
	RecordJetStream = "jetstream" // in a bucket of the NATS servers
	RecordReplicas  = "replicas"  // the replicas decide it
)

// What a linearizable get is: see master.Config.OrderedGets.
const (
	GetsFenced  = "fenced"  // read by one replica, confirmed by others
	GetsOrdered = "ordered" // an ordered operation, as a set is
)

// Runner runs a replica within this process until ctx ends. An error with the exit status
// of damaged data ([exit.Damaged]) tells of those.
type Runner func(ctx context.Context, r Replica) error

// Replica is what a replica within the master's process is told: what one of its own
// would get as arguments.
type Replica struct {
	ID             lamport.Node
	Number         int // in place of the pid: each start has another
	URL            string
	User, Password string                                   // of the nodes' account; "": as the URL or Connect says
	Connect        func(...nats.Option) (*nats.Conn, error) // in place of nats.Connect to URL; may be nil
	Prefix         string
	CausalWait     time.Duration
	PublishChanges bool
	Dir            string // "": in memory
	Sync           string // of Dir: SyncInterval or SyncAlways
	Cache          int    // MiB of Dir's data that are kept in memory; 0: as a replica of its own has it
	Metrics        string // where it serves its figures; "": nowhere
}

// Node says which one of several nodes a process is. Each has an embedded server, one replica and a
// master that stands by or leads: it goes with [Options.Standby], and [Options.Replicas] is how
// many nodes there are at first.
type Node struct {
	Number int      // its replica is r1 where this is 1
	Routes string   // HOST:PORT on which its server listens for those of other nodes
	Join   []string // HOST:PORT of others, as they listen for routes
}

// Options say what a master runs.
type Options struct {
	Listen          string           // of the embedded server
	AllowInsecure   bool             // lets it listen beyond this machine without credentials and TLS
	Secure          *secure.Identity // who this machine is where the embedded server has TLS and credentials; nil: it has none
	Config          string           // FILE of a nats-server's configuration that the embedded server has, too; "": none
	ClientJetStream bool             // gives the embedded server's clients JetStream
	NATS            string           // use these servers and embed none; names them to people
	Connection      *dial.Settings   // how to reach them; nil: by NATS alone
	TakeOver        bool             // depose a master that leads the cluster of these servers
	Standby         bool             // stand by while another master leads, and again when this one is deposed
	Name            string           // of this master among others; "": of its machine and pid
	Node            *Node            // it is one of several nodes, whose embedded servers form a cluster; nil: it is not
	Record          string           // where the record of the views is: RecordJetStream or RecordReplicas; "": RecordJetStream
	Prefix          string
	Replicas        int
	Missing         int // f: how many replicas may be missing; below 0: N minus the majority
	Dir             string
	Memory          bool
	Sync            string // of the replicas' disks: SyncInterval or SyncAlways; "": SyncInterval
	Cache           int    // MiB of a replica's data that are kept in memory, with Dir; 0: as the replica has it
	Gets            string // linearizable ones: GetsFenced or GetsOrdered; "": GetsFenced

	Timeout    time.Duration // a request without an outcome is answered 504
	CausalWait time.Duration // passed on to the replicas

	PublishChanges bool // … too: the first member publishes each committed change

	OrphanTimeout time.Duration // passed on to the replicas
	Suspect       time.Duration // silence that makes a replica suspected; so long one that was stays out at first

	Executable string   // starts a replica when called as EXECUTABLE replica …
	Args       []string // passed on to the replicas: logging
	Inherit    bool     // what they write goes to our own standard error, in place of a file in LogDir each
	InProcess  Runner   // in place of both: replicas are goroutines of this process; nil: processes
	RunDir     string   // with Memory: of the run files; "": named by the address, in the temporary directory
	LogDir     string
	Version    string

	Probe   *bus.Probe[Figures] // asks the loop how it is; may be nil
	Awake   *tune.Awake         // is told of the loop's turns; may be nil
	Metrics string              // where they are served, for the banner; "": nowhere

	Console string // where the console in the browser is, for the banner; "": nowhere

	Tracer Tracer // is told of requests that have been answered; may be nil

	ReplicaMetrics func(lamport.Node) string // where our own replicas serve theirs; nil: nowhere

	Stdout io.Writer        // the ready line and the banner
	Ready  func(url string) // called once, when they are printed, and must not wait; may be nil

	// Guests is called as Ready is, where a server is embedded: with how a program within this process
	// connects there for those who may read, or write. It may be nil.
	Guests func(read, write bus.DialOptions)

	Log    *slog.Logger
	Ledger *ledger.Ledger
}
