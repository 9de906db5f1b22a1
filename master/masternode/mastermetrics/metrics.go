// Package mastermetrics is a master's figures for Prometheus: what its ledger has counted of
// requests, what its replicas have reported, and what its loop counts anyway. It promises to cost a
// request nothing. Nothing is counted for it on the way of a request: samples are made when
// somebody asks.
package mastermetrics

import (
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"quartet/bus"
	"quartet/bus/host/monitor"
	"quartet/bus/link"
	"quartet/bus/model"
	"quartet/master/kv"
	"quartet/master/ledger"
	"quartet/master/masternode"
)

// bounds are those of the histogram of latencies. The ledger knows them to three digits, so
// others are only a matter of taste; these tell a load with memory, one with disk syncs and
// one that waits for a view change apart.
var bounds = [...]time.Duration{
	100 * time.Microsecond, 200 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond,
	10 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second,
}

// Collector makes the samples of one master. Make it with [New].
type Collector struct {
	ledger *ledger.Ledger

	requests, duplicates, listLost                                  monitor.Family
	latency                                                         *prometheus.Desc
	info, ready, warnings, unwritable, short, epoch, views, pending monitor.Family
	replicas, members, last, safe, clock, free                      monitor.Family
	member, position, positionLag, timestamp                        monitor.Family
	watermarkLag, keys, taken, tentative, queue                     monitor.Family
	restarts, replicaSafe, replicaClock, replicaUp                  monitor.Family
	kvRequests, kvRefused, kvChanges, kvStored, kvConsumers         monitor.Family
	kvReopened, kvUnshown, kvEvicted                                monitor.Family
	kvBuckets, kvStreams, kvSessions, kvUnstored                    monitor.Family
}

// New returns what Prometheus asks: the ledger's figures, and those that the loop behind
// the probe gives.
func New(probe *bus.Probe[masternode.Figures], l *ledger.Ledger) prometheus.Collector {
	g, counter := monitor.Gauge, monitor.Counter
	c := &Collector{
		ledger: l,

		requests: counter("requests_total", "requests answered, by model and type (empty where the request did not "+
			"say), by the replica that served them (empty: none did), by code, and by outcome: ok, absent (a get "+
			"without a value) or unmet (a condition that did not hold), which are answers, refused (not executed) or "+
			"unknown, which are failures",
			"model", "type", "replica", "code", "outcome"),
		duplicates: counter("requests_repeated_total", "requests answered with the outcome of an earlier sending", "model", "type"),
		latency: monitor.Describe("request_duration_seconds",
			"from the master's receipt of a request to its answer; without requests that were refused at sight, as "+
				"malformed or too large", "model", "type"),
		listLost: counter("ledger_lost_lines_total",
			"requests that are counted but not listed in requests.csv, since the disk was too slow or refused"),

		info:     g("build_info", "1; the version, and where the data are", "version", "data", "sync"),
		ready:    g("ready", "1 if the cluster serves all four models"),
		warnings: g("warnings", "what will fail at the next fault: how many lines quartet status tells of it"),
		unwritable: g("view_record_unwritable",
			"1 if the record of the views could not be read or written when that was tried last: the next change of "+
				"the view will fail"),

		short:    g("sets_refused", "1 while sets are refused for want of room on the disk"),
		epoch:    g("epoch", "of the view in force"),
		views:    counter("view_changes_total", "views that this node has seen to begin"),
		pending:  g("requests_in_flight", "requests taken and not answered"),
		replicas: g("replicas", "of the cluster"),
		members:  g("members", "replicas that work in the view and are not suspected"),
		last:     g("causal_last", "the highest causal number given out"),
		safe:     g("causal_safe", "the highest causal number that may be read"),
		clock:    g("clock", "Lamport time of the master"),
		free:     g("disk_free_bytes", "left on the disk of the node's data"),

		replicaUp:    g("replica_heard", "1 if the replica has said what it is doing; phase is that", "replica", "phase"),
		member:       g("replica_member", "1 if the replica works in the view and is not suspected", "replica"),
		position:     g("replica_position", "totally ordered operations that the replica has applied", "replica"),
		positionLag:  g("replica_position_lag", "how many fewer than the replica that is furthest", "replica"),
		timestamp:    g("replica_timestamp", "the highest causal number that the replica has seen without a gap: its watermark", "replica"),
		watermarkLag: g("replica_watermark_lag", "causal numbers given out that are above it", "replica"),
		replicaSafe:  g("replica_causal_safe", "the highest causal number that the replica may let be read", "replica"),
		replicaClock: g("replica_clock", "Lamport time of the replica", "replica"),
		keys:         g("replica_keys", "keys that the replica holds", "replica"),
		taken:        g("replica_requests_in_flight", "requests that the replica has taken and not answered", "replica"),
		tentative:    g("replica_tentative", "weak writes that the replica has not committed yet", "replica"),
		queue:        g("replica_queue", "broadcasts that the replica has received and not delivered", "replica"),
		restarts: g("replica_restarts",
			"how often in a row the replica's process has ended, since it last lived for half a minute", "replica"),

		kvRequests:  counter("kv_requests_total", "messages of NATS key-value clients"),
		kvRefused:   counter("kv_refused_total", "of them, those that were answered with an error"),
		kvChanges:   counter("kv_changes_total", "changes of buckets that were numbered"),
		kvStored:    counter("kv_stored_total", "messages that were sent to the streams of buckets"),
		kvConsumers: counter("kv_consumer_requests_total", "requests about consumers (watches, keys, history) that were passed on to JetStream"),
		kvReopened:  counter("kv_reopened_total", "buckets that were opened again after they had been at work"),
		kvUnshown:   counter("kv_unshown_total", "changes of keys that no subject can hold, which bucket clients do not see"),
		kvEvicted:   counter("kv_sessions_evicted_total", "sessions of key-value clients that were forgotten for newer ones"),
		kvBuckets:   g("kv_buckets", "key-value buckets"),
		kvStreams:   g("kv_streams", "key-value buckets that have a stream: the others have no watches, keys and history"),
		kvSessions:  g("kv_sessions", "sessions of key-value clients that are remembered"),
		kvUnstored:  g("kv_unstored", "changes of buckets that their streams do not hold yet"),
	}
	return &monitor.Collector[masternode.Figures]{
		Probe: probe, Samples: c.samples, Others: c.counted,
		Traffic: func(f *masternode.Figures) *link.Traffic { return &f.Traffic },
	}
}

// Ready says why the cluster is not ready, or "".
func Ready(f masternode.Figures) string {
	switch s := &f.Status; {
	case s.Ready:
		return ""
	case s.Reason != "":
		return s.Reason
	default:
		return "the cluster has no view yet"
	}
}

// Warned says, in one line, what will not be served after the next fault, or "".
func Warned(f masternode.Figures) string { return strings.Join(f.Status.Warnings, "; ") }

// counted are the samples of the ledger.
func (c *Collector) counted(to chan<- prometheus.Metric) {
	for _, s := range c.ledger.Series(bounds[:]) {
		for _, o := range s.Codes {
			c.requests.Send(to, float64(o.Count), s.Consistency, s.Request, o.Replica, strconv.Itoa(int(o.Code)), outcome(o.Code))
		}
		c.duplicates.Send(to, float64(s.Duplicates), s.Consistency, s.Request)
		within := make(map[float64]uint64, len(bounds))
		for i, n := range s.Within {
			within[bounds[i].Seconds()] = n
		}
		to <- prometheus.MustNewConstHistogram(c.latency, s.Timed, s.Sum, within, s.Consistency, s.Request)
	}
	c.listLost.Send(to, float64(c.ledger.Lost()))
}

// outcome sorts codes by what they mean for who has sent the request.
func outcome(code model.Code) string {
	switch executed, known := code.Executed(); {
	case code == model.OK:
		return "ok"
	case code == model.NotFound:
		return "absent"
	case code == model.Failed:
		return "unmet"
	case known && !executed:
		return "refused"
	default:
		return "unknown"
	}
}

// samples are those of the loop's answer.
func (c *Collector) samples(to chan<- prometheus.Metric, f *masternode.Figures) {
	s := &f.Status
	c.info.Send(to, 1, s.Version, s.Data, s.Sync)
	c.ready.Send(to, monitor.Truth(s.Ready))
	c.warnings.Send(to, float64(len(s.Warnings)))
	c.unwritable.Send(to, monitor.Truth(f.Unwritable))
	c.short.Send(to, monitor.Truth(f.Short != ""))
	c.epoch.Send(to, float64(s.Epoch))
	c.views.Send(to, float64(f.Views))
	c.pending.Send(to, float64(s.Master.Pending))
	c.replicas.Send(to, float64(f.Configured))
	c.members.Send(to, float64(f.Serving))
	c.last.Send(to, float64(s.Master.Last))
	c.safe.Send(to, float64(s.Master.Safe))
	c.clock.Send(to, float64(s.Master.Clock))
	if f.Free > 0 {
		c.free.Send(to, float64(f.Free))
	}
	c.keyValue(to, &f.KeyValue)
	furthest := uint64(0)
	for i := range s.Replicas {
		furthest = max(furthest, s.Replicas[i].Position)
	}
	for i := range s.Replicas {
		c.replica(to, &s.Replicas[i], s.Master.Last, furthest)
	}
}

// keyValue are the samples of the facade for NATS key-value clients.
func (c *Collector) keyValue(to chan<- prometheus.Metric, k *kv.Counts) {
	c.kvRequests.Send(to, float64(k.Requests))
	c.kvRefused.Send(to, float64(k.Refused))
	c.kvChanges.Send(to, float64(k.Changes))
	c.kvStored.Send(to, float64(k.Stored))
	c.kvConsumers.Send(to, float64(k.Passed))
	c.kvReopened.Send(to, float64(k.Reopened))
	c.kvUnshown.Send(to, float64(k.Unshown))
	c.kvEvicted.Send(to, float64(k.Evicted))
	c.kvBuckets.Send(to, float64(k.Buckets))
	c.kvStreams.Send(to, float64(k.Streams))
	c.kvSessions.Send(to, float64(k.Sessions))
	c.kvUnstored.Send(to, float64(k.Unstored))
}

func (c *Collector) replica(to chan<- prometheus.Metric, r *bus.ReplicaStatus, last, furthest uint64) {
	c.replicaUp.Send(to, monitor.Truth(r.Phase != ""), r.ID, r.Phase)
	c.member.Send(to, monitor.Truth(r.Member), r.ID)
	c.restarts.Send(to, float64(r.Restarts), r.ID)
	if r.Phase == "" {
		return // it has reported nothing: noughts would say something
	}
	c.position.Send(to, float64(r.Position), r.ID)
	c.positionLag.Send(to, float64(furthest-r.Position), r.ID)
	c.timestamp.Send(to, float64(r.Timestamp), r.ID)
	c.watermarkLag.Send(to, float64(last-min(last, r.Timestamp)), r.ID)
	c.replicaSafe.Send(to, float64(r.Safe), r.ID)
	c.replicaClock.Send(to, float64(r.Clock), r.ID)
	c.keys.Send(to, float64(r.Keys), r.ID)
	c.taken.Send(to, float64(r.Pending), r.ID)
	c.tentative.Send(to, float64(r.Tentative), r.ID)
	c.queue.Send(to, float64(r.Queue), r.ID)
}
