package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/replica/store"
)

// CollectFromSeed draws a run of [OpsFromSeed] in which tombstones are collected soon, so that
// writes are on their way meanwhile. Of six one is a run of [joiners], one of [returning], one
// has watchers and one listers.
func CollectFromSeed(seed uint64) Options {
	o := OpsFromSeed(seed)
	r := rand.New(rand.NewPCG(seed, 0x70b57))
	switch r.IntN(6) {
	case 0:
		return joiners(seed)
	case 1:
		return returning(seed)
	case 2:
		return watchersOfCollections(seed)
	case 3:
		o = ListFromSeed(seed)
	}
	o.Lag = 1 + r.IntN(12)
	o.Requests += 6
	if r.IntN(2) == 0 {
		o.Mixes = []int{r.IntN(len(mixes))}
	}
	return o
}

// joiners draws a run in which replicas join while tombstones are collected, and are loaded one
// key a piece.
func joiners(seed uint64) Options {
	o := OpsFromSeed(seed)
	o.Replicas, o.Late = 4, 1
	o.Durable, o.Forever = seed%2 == 0, false
	o.ChunkBytes, o.Lag, o.Keys, o.Requests = 70, 1, 5, 30
	o.Kinds, o.Faults, o.Horizon = []FaultKind{Join, Join, Lose, Crash, Slow, Pause, CutOut}, 8, 150*tickUnits
	o.Mixes = []int{int(seed % uint64(len(mixes)))}
	return o
}

// watchersOfCollections draws a run of [WatchFromSeed] in which tombstones are collected soon:
// before many a watch goes on.
func watchersOfCollections(seed uint64) Options {
	o := WatchFromSeed(seed)
	o.Lag = 1
	return o
}

// returning draws a run in which disks are put back: they bring back weak writes that everybody
// else has forgotten, of keys whose tombstones were collected.
func returning(seed uint64) Options {
	o := PutBackFromSeed(seed)
	o.Ops, o.Lag, o.Keys, o.Requests = true, 1, 2, 40
	o.Window, o.Keep, o.PutBacks, o.Faults = 1, 20, 6, 3
	o.Mixes = []int{eventualOnly, eventualOnly, eventualOnly, allModels}
	o.Horizon = 300 * tickUnits
	return o
}

// collection is how the reference reads the rules of how tombstones are collected.
type collection struct {
	floor   lamport.Version
	epoch   uint64
	members []lamport.Node // of the epoch, if every replica of the cluster is one
	horizon lamport.Version
	agreed  map[lamport.Node]bool
}

// begin forgets, in a new epoch, what the one before had proposed.
func (c *collection) begin(r *message.Record) {
	if r.Epoch == c.epoch {
		return
	}
	c.epoch, c.members, c.horizon = r.Epoch, nil, lamport.Version{}
	for _, n := range r.Configured {
		if r.Index(n) < 0 {
			c.members = nil
			return
		}
		c.members = append(c.members, n)
	}
}

func (c *collection) propose(horizon lamport.Version) {
	if len(c.members) > 0 && c.horizon.Epoch == 0 && c.floor.Less(horizon) {
		c.horizon, c.agreed = horizon, map[lamport.Node]bool{}
	}
}

// agree reports whether all have agreed.
func (c *collection) agree(horizon lamport.Version, n lamport.Node) bool {
	if c.horizon.Epoch == 0 || horizon != c.horizon {
		return false
	}
	c.agreed[n] = true
	if slices.ContainsFunc(c.members, func(n lamport.Node) bool { return !c.agreed[n] }) {
		return false
	}
	c.floor, c.horizon = horizon, lamport.Version{}
	return true
}

// collect takes the tombstones up to the floor away, at a position.
func (r *reference) collect(position uint64) {
	for key, rec := range r.store { // the order does not matter
		if rec.kind == store.KindTombstone && !r.collection.floor.Less(rec.version) {
			delete(r.store, key)
			r.past[key] = append(r.past[key], record{revision: position})
		}
	}
}

// collecting says which tombstones are still to be collected, or to be taken out of a store, or "".
func (c *cluster) collecting() string {
	r := c.record()
	if c.opts.Lag == 0 || r == nil {
		return ""
	}
	for _, n := range r.Configured {
		if r.Index(n) < 0 {
			return "" // not as long as it is away
		}
	}

	said := ""
	for _, n := range c.living() {
		if k := n.replica.Stats().Tombstones; k > 0 {
			said += fmt.Sprintf("%s has %d tombstones; ", n.id, k)
		}
	}
	return said
}
