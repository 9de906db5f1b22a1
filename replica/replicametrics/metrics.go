// Package replicametrics is a replica's figures for Prometheus. It promises what the replica knows
// by itself of its part in the protocol, its queues and its storage. The names are those that the
// master gives for the same thing; the master's are what the replica has reported to it.
package replicametrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"quartet/bus"
	"quartet/bus/host/monitor"
	"quartet/bus/lamport"
	"quartet/bus/link"
	"quartet/bus/message"
	"quartet/replica/disk"
	"quartet/replica/replicanode"
)

// collector makes the samples of one replica.
type collector struct {
	name string

	phase, member, short, epoch, views, clock                           monitor.Family
	tombstones, collections                                             monitor.Family
	position, timestamp, safe, keys, taken, tentative, own, queue       monitor.Family
	watches, ahead                                                      monitor.Family
	free, used, log, memTables, amplification, debt                     monitor.Family
	flushes, compactions, compacting, cacheHits, cacheMisses, persisted monitor.Family
}

// New returns what Prometheus asks, of the replica behind the probe.
func New(probe *bus.Probe[replicanode.Figures], self lamport.Node) prometheus.Collector {
	g, counter := monitor.Gauge, monitor.Counter
	c := &collector{
		name:  self.String(),
		phase: g("replica_heard", "1; what the replica is doing: boot, member, wedged, learning or caught", "replica", "phase"),
		short: g("sets_refused", "1 while sets are refused for want of room on the disk"),
		epoch: g("epoch", "of the view in which the replica works, or which it knows"),
		views: counter("view_changes_total", "views that this node has seen to begin"),

		member:    g("replica_member", "1 if the replica works in the view", "replica"),
		clock:     g("replica_clock", "Lamport time of the replica", "replica"),
		position:  g("replica_position", "totally ordered operations that the replica has applied", "replica"),
		timestamp: g("replica_timestamp", "the highest causal number that the replica has seen without a gap: its watermark", "replica"),
		safe:      g("replica_causal_safe", "the highest causal number that the replica may let be read", "replica"),
		keys:      g("replica_keys", "keys that the replica holds", "replica"),
		taken:     g("replica_requests_in_flight", "requests that the replica has taken and not answered", "replica"),
		tentative: g("replica_tentative", "weak writes that the replica has not committed yet", "replica"),
		own:       g("replica_tentative_own", "of them, those that it has accepted itself: perhaps nobody else holds them yet", "replica"),
		queue:     g("replica_queue", "broadcasts that the replica has received and not delivered", "replica"),

		tombstones:  g("replica_tombstones", "keys without a value of which the replica still holds that they were deleted, or ended", "replica"),
		collections: counter("replica_tombstone_collections_total", "collections of tombstones that this process has carried out", "replica"),

		watches: g("replica_watches", "watches that the replica serves", "replica"),
		ahead:   g("replica_watches_ahead_bytes", "that were sent to watchers and are not acknowledged", "replica"),

		persisted:     g("storage_on_disk", "1 if the replica's data are on disk"),
		free:          g("disk_free_bytes", "left on the disk of the node's data"),
		used:          g("storage_used_bytes", "of the storage engine's files"),
		log:           g("storage_log_bytes", "of its write-ahead logs"),
		memTables:     g("storage_memtable_bytes", "in memory that are not in tables yet; the log has them"),
		amplification: g("storage_read_amplification", "tables that a read may have to look into"),
		debt:          g("storage_compaction_debt_bytes", "that compactions are behind, about"),
		flushes:       counter("storage_flushes_total", "of memtables to tables"),
		compactions:   counter("storage_compactions_total", "of tables"),
		compacting:    counter("storage_compaction_seconds_total", "that compactions have taken"),
		cacheHits:     counter("storage_cache_hits_total", "of the engine's cache of blocks"),
		cacheMisses:   counter("storage_cache_misses_total", "of the engine's cache of blocks"),
	}
	return &monitor.Collector[replicanode.Figures]{
		Probe: probe, Samples: c.samples,
		Traffic: func(f *replicanode.Figures) *link.Traffic { return &f.Traffic },
	}
}

// Ready says why the replica does not work in the view, or "".
func Ready(f replicanode.Figures) string { return f.Why() }

func (c *collector) samples(to chan<- prometheus.Metric, f *replicanode.Figures) {
	c.phase.Send(to, 1, c.name, f.Phase.Word())
	c.member.Send(to, monitor.Truth(f.Phase == message.PhaseMember), c.name)
	c.short.Send(to, monitor.Truth(f.Full))
	c.epoch.Send(to, float64(f.Epoch))
	c.views.Send(to, float64(f.Views))
	c.clock.Send(to, float64(f.Clock), c.name)
	c.position.Send(to, float64(f.Position), c.name)
	c.timestamp.Send(to, float64(f.Watermark), c.name)
	c.safe.Send(to, float64(f.Safe), c.name)
	c.keys.Send(to, float64(f.Keys), c.name)
	c.taken.Send(to, float64(f.Pending), c.name)
	c.tentative.Send(to, float64(f.Tentative), c.name)
	c.own.Send(to, float64(f.Own), c.name)
	c.queue.Send(to, float64(f.Queue), c.name)
	c.tombstones.Send(to, float64(f.Tombstones), c.name)
	c.collections.Send(to, float64(f.Collections), c.name)
	c.watches.Send(to, float64(f.Watches), c.name)
	c.ahead.Send(to, float64(f.Ahead), c.name)
	c.persisted.Send(to, monitor.Truth(f.Storage != nil))
	if f.Storage != nil {
		c.storage(to, f.Storage)
	}
}

func (c *collector) storage(to chan<- prometheus.Metric, s *disk.Figures) {
	c.free.Send(to, float64(s.Free))
	c.used.Send(to, float64(s.Used))
	c.log.Send(to, float64(s.Log))
	c.memTables.Send(to, float64(s.MemTables))
	c.amplification.Send(to, float64(s.ReadAmp))
	c.debt.Send(to, float64(s.Debt))
	c.flushes.Send(to, float64(s.Flushes))
	c.compactions.Send(to, float64(s.Compactions))
	c.compacting.Send(to, s.Compacting.Seconds())
	c.cacheHits.Send(to, float64(s.Hits))
	c.cacheMisses.Send(to, float64(s.Misses))
}
