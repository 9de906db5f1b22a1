package masternode

import (
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"golang.org/x/mod/semver"

	"quartet/bus"
	"quartet/bus/message"
	"quartet/bus/model"
	"quartet/master/ledger"
)

// ServiceName is the name of the NATS micro service that a master is.
const ServiceName = "quartet"

const serviceDescription = "a replicated key-value store: every request names its consistency"

// service lets the tools of NATS micro services see the cluster: it answers PING, INFO and
// STATS, with an endpoint for each model, out of what the ledger has counted.
//
// It is not made of the micro framework, of which it has the types: there each endpoint is
// a subscription, whereas all models are one subject, and the framework would count, lock
// and look at the clock for every request a second time. Here the path of a request knows
// nothing of it; only of a FAIL the reason is kept. The answers are made on the bus's
// goroutines, not in the loop.
type service struct {
	nc       *nats.Conn
	subjects bus.Subjects
	ledger   *ledger.Ledger
	started  time.Time
	failed   func(error)

	mu     sync.Mutex            // guards what the loop tells
	self   micro.ServiceIdentity // its Metadata is replaced, never changed
	failes [len(model.All) + 1]failure
}

// failure is the last FAIL of a model.
type failure struct {
	code   model.Code
	reason string
}

// newService describes the cluster as it is now.
func (n *node) newService() *service {
	s := &service{nc: n.clients, subjects: n.subjects, ledger: n.opts.Ledger, started: time.Now().UTC(), failed: n.noService}
	metadata := map[string]string{"prefix": n.subjects.Prefix()}
	s.self = micro.ServiceIdentity{
		Name: ServiceName, ID: strconv.FormatUint(n.machine.Snapshot().Incarnation, 10),
		Version: semantic(n.opts.Version), Metadata: metadata,
	}
	if n.views.newest != nil {
		s.view(n.views.newest)
	}
	return s
}

func (n *node) noService(err error) {
	n.opts.Log.Warn("cannot answer as a micro service", "error", err)
}

// subscribe listens where every service does: for all, for those of this name, for this one.
func (s *service) subscribe() (subs []*bus.Subscription, err error) {
	for verb, answer := range map[micro.Verb]func() any{micro.PingVerb: s.ping, micro.InfoVerb: s.info, micro.StatsVerb: s.stats} {
		for _, who := range [][2]string{{"", ""}, {s.self.Name, ""}, {s.self.Name, s.self.ID}} {
			subject, err := micro.ControlSubject(verb, who[0], who[1])
			if err != nil {
				return subs, fmt.Errorf("master: %w", err)
			}
			sub, err := bus.Subscribe(s.nc, subject, func(m *nats.Msg) { s.respond(m.Reply, answer) })
			if err != nil {
				return subs, err
			}
			subs = append(subs, sub)
		}
	}
	return subs, nil
}

func (s *service) respond(reply string, answer func() any) {
	if reply == "" || s.subjects.Reserved(reply) {
		return
	}
	b, err := json.Marshal(answer())
	if err == nil {
		err = s.nc.Publish(reply, b)
	}
	if err != nil {
		s.failed(err)
	}
}

// view takes note of a view: nil services take none.
func (s *service) view(r *message.Record) {
	if s == nil {
		return
	}
	members := make([]string, len(r.Members))
	for i, m := range r.Members {
		members[i] = m.Node.String()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	metadata := maps.Clone(s.self.Metadata)
	metadata["cluster"] = bus.ClusterName(r.Cluster)
	metadata["epoch"] = strconv.FormatUint(r.Epoch, 10)
	metadata["members"] = strings.Join(members, " ")
	metadata["replicas"] = strings.Join(names(r.Configured), " ")
	s.self.Metadata = metadata
}

// keep takes note of where the members keep their data, as they say themselves: in the words of
// the public contract, "" where none has said it.
func (s *service) keep(data, sync string) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.self.Metadata["data"] == data && s.self.Metadata["sync"] == sync {
		return
	}

	metadata := maps.Clone(s.self.Metadata)
	for name, value := range map[string]string{"data": data, "sync": sync} {
		if metadata[name] = value; value == "" {
			delete(metadata, name)
		}
	}
	s.self.Metadata = metadata
}

// fail takes note of a reply that is no answer.
func (s *service) fail(m model.Consistency, code model.Code, reason string) {
	if s == nil || !m.Valid() {
		return
	}
	s.mu.Lock()
	s.failes[m] = failure{code, reason}
	s.mu.Unlock()
}

func (s *service) identity() micro.ServiceIdentity {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.self
}

func (s *service) ping() any {
	return micro.Ping{ServiceIdentity: s.identity(), Type: micro.PingResponseType}
}

func (s *service) info() any {
	out := micro.Info{ServiceIdentity: s.identity(), Type: micro.InfoResponseType, Description: serviceDescription}
	for _, m := range model.All {
		out.Endpoints = append(out.Endpoints, micro.EndpointInfo{
			Name: m.Word(), Subject: s.subjects.Request(), QueueGroup: s.subjects.Masters(),
			Metadata: s.examples(m),
		})
	}
	return out
}

// examples are requests of a model that are served as they stand, by their types, and the subject
// of batches. A transaction has no such form, and a watch is no request with one reply.
func (s *service) examples(m model.Consistency) map[string]string {
	said := map[string]string{"batch": s.subjects.Batch()}
	for typ, data := range map[model.Type]string{
		model.Set: "KEY " + bus.Separator + " VALUE", model.Get: "KEY", model.Delete: "KEY",
		model.Add: "COUNTER " + bus.Separator + " 1", model.List: "PREFIX",
	} {
		if typ.In(m) {
			said[typ.Word()] = m.Word() + ", " + typ.Word() + ", " + data
		}
	}
	return said
}

// served is what an endpoint's figures say beyond those of every service.
type served struct {
	Requests   uint64                `json:"requests"`
	Duplicates uint64                `json:"duplicates"` // answered with an earlier outcome
	Codes      map[model.Code]uint64 `json:"codes"`
}

// stats adds up what the ledger has counted since the master began. Errors are the replies
// that are no answers; a get of a key without a value is one, which the figures by code tell.
func (s *service) stats() any {
	out := micro.Stats{ServiceIdentity: s.identity(), Type: micro.StatsResponseType, Started: s.started}

	endpoints := map[string]*micro.EndpointStats{}
	kinds := map[string]map[string]served{}
	timed := map[string]uint64{} // how many requests the processing time is of
	for _, m := range model.All {
		e := &micro.EndpointStats{
			Name: m.Word(), Subject: s.subjects.Request(), QueueGroup: s.subjects.Masters(), LastError: s.lastError(m),
		}
		out.Endpoints = append(out.Endpoints, e)
		endpoints[e.Name], kinds[e.Name] = e, map[string]served{}
	}

	for _, series := range s.ledger.Series(nil) {
		e := endpoints[series.Consistency]
		if e == nil {
			continue // the requests did not say
		}
		e.NumRequests += int(series.Count)
		timed[e.Name] += series.Timed
		e.ProcessingTime += time.Duration(series.Sum * float64(time.Second))

		kind := served{Requests: series.Count, Duplicates: series.Duplicates, Codes: map[model.Code]uint64{}}
		for _, o := range series.Codes {
			kind.Codes[o.Code] += o.Count
			if !o.Code.Answered() {
				e.NumErrors += int(o.Count)
			}
		}
		if series.Request != "" {
			kinds[e.Name][series.Request] = kind
		}
	}

	for _, e := range out.Endpoints {
		if n := timed[e.Name]; n > 0 {
			e.AverageProcessingTime = e.ProcessingTime / time.Duration(n)
		}
		e.Data, _ = json.Marshal(kinds[e.Name]) // numbers by names: cannot fail
	}
	return out
}

// lastError is in the form of the micro framework.
func (s *service) lastError(m model.Consistency) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.failes[m]
	if f.code == 0 {
		return ""
	}
	return fmt.Sprintf("%d:%s", f.code, f.reason)
}

// semantic makes a version as semver.org has it of any: the tools of micro services pass
// over an answer with another.
func semantic(v string) string {
	v = strings.TrimPrefix(v, "v")
	// Go's own form has a v, and may lack minor and patch.
	if full := "v" + v; semver.Canonical(full)+semver.Build(full) == full {
		return v
	}
	build := strings.Map(func(r rune) rune {
		isDigit := r >= '0' && r <= '9'
		isLower, isUpper := r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z'
		if isDigit || isLower || isUpper {
			return r
		}
		return '-'
	}, v)
	if build == "" {
		return "0.0.0"
	}
	return "0.0.0+" + build
}
