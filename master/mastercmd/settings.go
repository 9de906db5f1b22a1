package mastercmd

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/spf13/pflag"

	"quartet/bus"
	"quartet/bus/dial"
	"quartet/bus/host/config"
	"quartet/bus/host/monitor"
	"quartet/bus/host/nodelog"
	"quartet/bus/secure"
	"quartet/bus/server"
	"quartet/master/masternode"
	"quartet/master/masternode/mastermetrics"
	"quartet/master/masternode/spans"
	"quartet/replica/disk"
)

// settings are what the command line says of a cluster.
type settings struct {
	masternode.Options
	log            nodelog.Options
	connection     *dial.Flags
	secureDir      string
	inProcess      bool
	replicaMetrics string
	stopAtEOF      bool
	spans          spans.Options
	console        ConsoleOptions
	beside         func(ConsoleOptions) (Console, error)
}

// flags are those of the command master.
func (o *settings) flags(f *pflag.FlagSet) {
	o.connection = dial.Add(f)
	o.connection.Selected = false // a master that is told nothing has a server of its own
	f.BoolVar(&o.TakeOver, "takeover", false, "with --nats or --context, depose the master that leads the cluster there")
	f.BoolVar(&o.Standby, "standby", false,
		"with --nats or --context, stand by while another master leads there, and take over when that one is silent for "+
			"the suspicion time, stops, or hands over")
	config.NotEmpty(f, &o.Name, "name", "", "`NAME` by which lead and status know this master among others; default: HOST-PID")

	config.Int(f, &o.Replicas, "replicas", 3, masternode.MinReplicas, masternode.MaxReplicas, "replicas, 1 to 9")
	f.BoolVar(&o.inProcess, "in-process", false, "replicas are goroutines of this process: one process, whose end is the end of all")
	config.Duration(f, &o.OrphanTimeout, "orphan-timeout", 10*time.Second, masternode.LeastOrphanTimeout,
		config.Forever, "how long a replica waits for a master to come back")
	f.StringVar(&o.replicaMetrics, "replica-metrics", "",
		"the same of its replicas: `HOST:PORT` of r1; r2 has the next port, and so on; default: off")
	o.shared(f, masternode.RecordJetStream)
}

// shared are the flags of all commands that run a master. record is where the record of the views
// is unless told otherwise.
func (o *settings) shared(f *pflag.FlagSet, record string) {
	config.NotEmpty(f, &o.Listen, "listen", server.DefaultListen, "`HOST:PORT` of the embedded NATS server; port -1 picks a free one")
	f.BoolVar(&o.AllowInsecure, "allow-insecure-bind", false, "let it listen beyond this machine without credentials and TLS")
	config.NotEmpty(f, &o.secureDir, "secure", "",
		"`DIR` with this machine's certificate, as quartet secure makes it: the embedded server then takes TLS and lets "+
			"in who has a certificate of the same authority, each to do what its role may; default: off")
	config.NotEmpty(f, &o.Config, "nats-config", "",
		"`FILE` with more of the embedded server's configuration, as nats-server reads it: users and their permissions, "+
			"websocket, leaf nodes, MQTT, monitoring, limits; what quartet says itself is refused by name")
	f.BoolVar(&o.ClientJetStream, "client-jetstream", false,
		"let clients of the embedded server use JetStream, up to half of the disk: each may then have a stream take "+
			"requests")

	config.NotEmpty(f, &o.Prefix, "prefix", bus.DefaultPrefix, "of all subjects")
	config.Int(f, &o.Missing, "missing", -1, -1, masternode.MaxReplicas-1,
		"how many replicas may be missing; -1: so that a majority remains")

	config.NotEmpty(f, &o.Dir, "dir", "quartet-data",
		"`DIR` of what outlives the process; with less than 64 MiB free there (or 1/8 of a small disk) sets are "+
			"refused, 24 MiB a process (or 1/32) are kept in reserve for starts on a full disk")
	f.BoolVar(&o.Memory, "memory", false, "keep nothing on disk but logs")
	config.OneOf(f, &o.Sync, "sync", masternode.SyncInterval, []string{masternode.SyncInterval, masternode.SyncAlways},
		"with --dir, what survives: interval (kill -9 of every process) or always (a power cut)")
	config.Int(f, &o.Cache, "cache", disk.DefaultCache>>20, disk.LeastCache>>20, disk.MostCache>>20,
		"with --dir, how many `MiB` of its data each replica keeps in memory")

	config.OneOf(f, &o.Record, "record", record,
		[]string{masternode.RecordJetStream, masternode.RecordReplicas},
		"where the record of the views is: in a JetStream bucket, or decided by the replicas (then servers need no "+
			"JetStream, and no election of theirs is waited for); a cluster keeps what it began with")
	config.OneOf(f, &o.Gets, "linearizable-gets", masternode.GetsFenced,
		[]string{masternode.GetsFenced, masternode.GetsOrdered},
		"fenced (a replica reads, others confirm that they work in its view) or ordered (broadcast as sets are)")
	config.Duration(f, &o.Timeout, "timeout", 5*time.Second, masternode.LeastTimeout, config.Forever,
		"a request without an outcome after this is answered 504")
	config.Duration(f, &o.CausalWait, "causal-wait", 50*time.Millisecond, 0, config.Forever,
		"how long a replica waits for a request's minimum timestamp or position")
	f.BoolVar(&o.PublishChanges, "publish-changes", false,
		"have replicas publish each committed change on PREFIX.changes.KEY, at most once, for whoever listens")
	config.Duration(f, &o.Suspect, "suspect", time.Second, masternode.LeastSuspect, config.Forever,
		"silence after which a replica is left out of the view, and another master takes over")

	config.NotEmpty(f, &o.LogDir, "log-dir", "log", "`DIR` of process logs and reports")
	f.BoolVar(&o.stopAtEOF, "stop-at-eof", false,
		"stop, as at Ctrl-C, when stdin ends: for a program that holds its other end and must leave no cluster behind")
	nodelog.Flags(f, &o.log)
	monitor.Flag(f, &o.Metrics)
	f.StringVar(&o.console.Listen, "console", "",
		"serve the console in the browser at `HOST:PORT` of this machine, 127.0.0.1:8222; with --secure to browsers with "+
			"a client's certificate, beyond this machine too; default: off")
	f.BoolVar(&o.console.Write, "console-write", false, "with --console, let it change keys (with --secure: for the role write)")
	f.StringVar(&o.spans.Endpoint, "otel", "",
		"send OpenTelemetry spans to the OTLP/HTTP collector at `URL`, http://127.0.0.1:4318 "+
			"(OTEL_EXPORTER_OTLP_ENDPOINT; the other OTEL_ variables hold, too); default: off")

	config.Excludes(f, "memory", "dir", "sync", "cache")
	f.BoolVar(&o.spans.Keys, "otel-keys", false, "let spans carry keys, in place of a hash of them")
}

// settle makes options of what was said, or finds that it contradicts itself.
func (o *settings) settle(f *pflag.FlagSet, inside func(nodelog.Options) masternode.Runner) (err error) {
	onDisk := f.Changed("dir") || f.Changed("sync") || f.Changed("cache")
	if o.Memory && onDisk {
		return errors.New("--memory excludes --dir, --sync and --cache")
	}

	if !f.Changed("cache") { // a replica's own default is as much, and one of an older build has no such flag
		o.Cache = 0
	}
	if o.console.Write && o.console.Listen == "" {
		return errors.New("--console-write says what a console may do: say where it is with --console")
	}
	if err := o.closed(); err != nil {
		return err
	}
	if o.connection != nil {
		if err := external(&o.Options, o.connection); err != nil {
			return err
		}
	}
	if o.replicaMetrics != "" {
		if o.ReplicaMetrics, err = mastermetrics.OfReplicas(o.replicaMetrics, masternode.MaxReplicas); err != nil {
			return fmt.Errorf("--replica-metrics: %w", err)
		}
	}
	o.Args = []string{"--log", o.log.To, "--log-level", o.log.Level, "--log-format", o.log.Format}
	o.log.Dir, o.Inherit = o.LogDir, o.log.To == nodelog.ToStderr
	if o.inProcess {
		o.InProcess = inside(o.log)
	}
	return nil
}

// closed settles as whom the embedded server is known to those who connect.
func (o *settings) closed() (err error) {
	if o.secureDir == "" {
		return nil
	}
	switch {
	case o.connection != nil && o.connection.Asked():
		return errors.New("--secure is of the embedded server: how to reach one that is there say --tlscert, --tlskey and --tlsca")
	case o.AllowInsecure:
		return errors.New("--secure asks for certificates, and --allow-insecure-bind lets everybody in: say one of them")
	}

	if o.Secure, err = secure.Open(o.secureDir, nil); err != nil {
		return fmt.Errorf("--secure: %w", err)
	}
	if role := o.Secure.Role(); role != secure.Node {
		return fmt.Errorf("--secure: %w: %s is a client's (%s), and what serves takes a node's: quartet secure node makes one",
			secure.ErrRole, o.Secure.Dir(), role)
	}
	if o.Node != nil && o.Secure.Name() != o.Name {
		return fmt.Errorf("--secure: %s is of %s, and this node is --name %s: each machine has its own", o.Secure.Dir(), o.Secure.Name(), o.Name)
	}

	for _, address := range o.reached() {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			continue // the server says what is wrong with it
		}
		if err := o.Secure.IsFor(host); err != nil {
			return fmt.Errorf("--secure: %w", err)
		}
	}
	return nil
}

// reached is where the embedded server listens.
func (o *settings) reached() []string {
	if o.Node == nil {
		return []string{o.Listen}
	}
	return []string{o.Listen, o.Node.Routes}
}

// external settles whether the master uses servers that are there, and how it reaches them:
// where --nats or --context says so. The environment alone does not, since clients on the
// same machine have theirs there.
func external(o *masternode.Options, connection *dial.Flags) error {
	if !connection.Asked() {
		if given := connection.Given(); len(given) > 0 {
			return fmt.Errorf("--%s says how to reach a NATS server: say which with --nats or --context", given[0])
		}
		if o.Standby {
			return errors.New("--standby waits for the master on a NATS server: say which with --nats or --context " +
				"(an embedded server has no other)")
		}
		if o.TakeOver {
			return errors.New("--takeover deposes the master on a NATS server: say which with --nats or --context " +
				"(an embedded server has no other)")
		}
		return nil
	}

	if o.TakeOver && o.Standby {
		return errors.New("--takeover deposes the master that leads, and --standby waits for it: say one of them")
	}
	if o.Config != "" {
		return errors.New("--nats-config is of the embedded server: with --nats or --context the server has its own")
	}
	if o.ClientJetStream {
		return errors.New("--client-jetstream is of the embedded server: with --nats or --context the server's own " +
			"configuration says which account has JetStream")
	}
	s, err := connection.Resolve(os.Getenv)
	if err != nil {
		return err
	}
	o.Connection, o.NATS = s, s.Redacted()
	return nil
}
