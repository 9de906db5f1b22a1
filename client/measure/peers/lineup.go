package peers

import (
	"fmt"
	"slices"

	"quartet/bus/model"
)

// The systems. Quartet's modes are named with [ours] before them.
const (
	ours            = "quartet-"
	quartetMemory   = ours + "memory"
	quartetInterval = ours + "interval"
	quartetAlways   = ours + "always"
	natsR1          = "nats-r1"
	natsR3          = "nats-r3"
	etcdMemory      = "etcd-memory"
	etcdFsync       = "etcd-fsync"
	redisMemory     = "redis"
)

// Peers returns the names of the systems that quartet can be compared with.
func Peers() []string { return []string{natsR1, natsR3, etcdMemory, etcdFsync, redisMemory} }

// Modes returns the names of quartet's modes of keeping data: see `quartet master --sync`.
func Modes() []string { return []string{"memory", "interval", "always"} }

// Loads returns the names of the loads, in the order in which they are run.
func Loads() []string {
	var names []string
	for _, l := range workloads() {
		names = append(names, l.name)
	}
	return names
}

// workload is a kind of load: what is sent, how many at once and over what.
type workload struct {
	name        string
	get         bool
	concurrency int
	separate    bool // a client with one connection for each request outstanding; else one client for all
	baseline    int  // measures the same sides at this concurrency too; 0: no
}

func (l *workload) String() string {
	switch l.name {
	case "kv-put":
		return "puts by nats.go's key-value, 64 goroutines on one connection"
	case "kv-get":
		return "gets by nats.go's key-value, 64 goroutines on one connection"
	case "kv-watch":
		return "puts by nats.go's key-value, 64 at once on one connection, each until a watch of the bucket has shown it"
	case "kv-put-single":
		return "puts by nats.go's key-value, one at a time"
	case "kv-get-single":
		return "gets by nats.go's key-value, one at a time"
	case "kv-watch-single":
		return "puts by nats.go's key-value, one at a time, each until a watch of the bucket has shown it"
	case "list":
		return fmt.Sprintf("lists of all keys with values, pages of %d, one at a time", listPage)
	}

	kind, over := "sets", "one shared client"
	if l.get {
		kind = "gets"
	}
	switch {
	case l.separate:
		over = fmt.Sprintf("%d clients with a connection each", l.concurrency)
	case l.concurrency == 1:
		return kind + ", one at a time"
	}

	text := fmt.Sprintf("%s, %d at once, %s", kind, l.concurrency, over)
	if l.baseline > 0 {
		text += fmt.Sprintf(", beside %d at once", l.baseline)
	}
	return text
}

// workloads returns the loads in an order in which a system that is no longer needed is not needed
// again.
func workloads() []workload {
	return []workload{
		{name: "set", concurrency: 64},
		{name: "get", get: true, concurrency: 64},
		{name: "set-separate", concurrency: 64, separate: true},
		{name: "get-separate", get: true, concurrency: 64, separate: true},
		{name: "set-single", concurrency: 1},
		{name: "get-single", get: true, concurrency: 1},
		{name: "list", concurrency: 1},
		{name: "operations", concurrency: 64},
		{name: "kv-put", concurrency: 64},
		{name: "kv-get", get: true, concurrency: 64},
		{name: "kv-watch", concurrency: 64},
		{name: "kv-put-single", concurrency: 1},
		{name: "kv-get-single", get: true, concurrency: 1},
		{name: "kv-watch-single", concurrency: 1},
		{name: "set-256", concurrency: 256, baseline: 64},
		{name: "get-256", get: true, concurrency: 256, baseline: 64},
		{name: "set-durable", concurrency: 64},
	}
}

// driver is how the requests of a side are sent.
type driver string

const (
	goPackage    driver = "go package"    // client.Do in a goroutine for each request outstanding
	callbacks    driver = "callbacks"     // client.Start: no goroutine waits
	keyValue     driver = "nats.go"       // KeyValue.Put and Get; of quartet below its prefix
	clientV3     driver = "clientv3"      // Put and Get
	redisPool    driver = "go-redis pool" // up to 64 connections: the other clients have one
	redisBatches driver = "autopipeline"  // go-redis's AutoPipeline
	redisWait    driver = "go-redis pipe" // SET and WAIT 2 in one pipeline, on the pool
)

// side is one system, driven in one way: what a row of the result is about.
type side struct {
	system string
	model  model.Consistency // of quartet's requests
	driver driver
	held   string // where a set is when it is answered
	read   string // what a get may return; "" for a side that only sets
	loads  []string

	request string // what is sent in place of the load's sets: one of those of requests.go; "": nothing
}

func (s *side) String() string {
	switch {
	case s.model != 0 && s.request != "":
		return s.system + " " + s.model.Word() + " " + s.request
	case s.model != 0:
		return s.system + " " + s.model.Word()
	case s.request != "":
		return s.system + " " + s.request
	case s.driver == redisWait:
		return s.system + " WAIT 2"
	}
	return s.system
}

// entry is a side at one number of requests outstanding.
type entry struct {
	*side
	concurrency int
}

func (e entry) String() string {
	return fmt.Sprintf("%s, %s, %d at once", e.side, e.driver, e.concurrency)
}

// entries returns all sides of the load.
func (l *workload) entries() []entry {
	var entries []entry
	for _, s := range sides() {
		if slices.Contains(s.loads, l.name) {
			entries = append(entries, entry{&s, l.concurrency})
			if l.baseline > 0 {
				entries = append(entries, entry{&s, l.baseline})
			}
		}
	}
	return entries
}

func sides() []side {
	wide := []string{"set", "get", "set-separate", "get-separate", "set-single", "get-single"}
	sets := []string{"set", "set-separate", "set-single"}
	all := append(slices.Clone(wide), "operations", "set-256", "get-256", "set-durable")

	const (
		memory3    = "memory of 3"
		interval3  = "files of 3, fsync every 0.2 s"
		always3    = "fsync on 3"
		newest     = "linearizable"
		maybeStale = "may be stale"
	)
	plain := []side{
		{quartetMemory, model.Linearizable, goPackage, memory3, newest, all, ""},
		{quartetMemory, model.Linearizable, callbacks, memory3, newest, all, ""},
		{quartetMemory, model.Eventual, goPackage, "memory of 1", maybeStale,
			[]string{"set", "get", "set-single", "get-single"}, ""},
		{quartetMemory, model.Eventual, callbacks, "memory of 1", maybeStale, []string{"set", "get"}, ""},
		{quartetInterval, model.Linearizable, goPackage, interval3, "", []string{"set-durable"}, ""},
		{quartetInterval, model.Linearizable, callbacks, interval3, "", []string{"set-durable"}, ""},
		{quartetAlways, model.Linearizable, goPackage, always3, "", []string{"set-durable"}, ""},
		{quartetAlways, model.Linearizable, callbacks, always3, "", []string{"set-durable"}, ""},
		{natsR1, 0, keyValue, "file of 1, no fsync", "direct get; the only copy", wide, ""},
		{natsR3, 0, keyValue, "files of 2 of 3, no fsync", "direct get; may be stale", wide, ""},
		{etcdMemory, 0, clientV3, "memory (tmpfs) of 2 of 3", newest, wide, ""},
		{etcdFsync, 0, clientV3, "fsync on 2 of 3", "", []string{"set-durable"}, ""},
		{redisMemory, 0, redisPool, "memory of 1", "from the primary", wide, ""},
		{redisMemory, 0, redisBatches, "memory of 1", "from the primary", []string{"set", "get"}, ""},
		{redisMemory, 0, redisWait, "memory of 3", "", sets, ""},
	}
	return slices.Concat(plain, listings(memory3), operations(memory3), keyValues(memory3))
}
