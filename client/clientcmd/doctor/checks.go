package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"quartet/bus"
	"quartet/bus/host/exit"
	"quartet/bus/model"
	"quartet/bus/trouble"
	"quartet/client"
	"quartet/client/clientcmd/console"
)

const (
	slowTrip     = 20 * time.Millisecond       // a round trip to the server worth a note
	wantPayload  = model.MaxKeyValue + 64*1024 // key, value and headers with room
	doctorKey    = "quartet-doctor"            // that is asked for; nobody needs to have set it
	userInfo     = "$SYS.REQ.USER.INFO"        // where a server says who we are
	laggingQueue = 10_000                      // broadcasts that wait in a replica, worth a note
	asideLimit   = 2 * time.Second             // for each question of which a cluster has no need
)

// lookAtContext finds what the context's file says in vain.
func (d *doctor) lookAtContext() {
	if unknown := d.settings.UnknownFields(); len(unknown) > 0 {
		d.finding("context", fmt.Sprintf("%s has fields that say nothing: %s", d.settings.ContextFile(), strings.Join(unknown, ", ")),
			"correct their names (nats context edit), or take them out")
	}
}

func (d *doctor) lookAtServer(ctx context.Context, nc *nats.Conn) {
	rtt, err := nc.RTT()
	if err != nil {
		d.finding("server", fmt.Sprintf("%s does not answer a ping: %v", nc.ConnectedUrlRedacted(), err), "look at the server's log")
		return
	}
	text := fmt.Sprintf("%s %s at %s, round trip %s", nc.ConnectedServerName(), nc.ConnectedServerVersion(),
		nc.ConnectedUrlRedacted(), rtt.Round(time.Microsecond))
	if rtt > slowTrip {
		d.note("server", text,
			"every request takes at least this long, and one of the strong models some of the way between master and "+
				"replicas besides")
	} else {
		d.ok("server", "%s", text)
	}
	if most := nc.MaxPayload(); most < wantPayload {
		d.finding("server", fmt.Sprintf("takes messages of at most %d bytes: a request of the greatest size (key and "+
			"value of %d) does not fit", most, model.MaxKeyValue),
			"set max_payload in the server's configuration to 1MB")
	}
}

// lookAtUser says who the server takes us for, where it says so.
func (d *doctor) lookAtUser(ctx context.Context, nc *nats.Conn) {
	ctx, cancel := d.aside(ctx, time.Second)
	defer cancel()
	m, err := nc.RequestWithContext(ctx, userInfo, nil)
	var answer struct {
		Data struct {
			User    string `json:"user"`
			Account string `json:"account"`
		} `json:"data"`
	}
	if err != nil || json.Unmarshal(m.Data, &answer) != nil || answer.Data.Account == "" {
		return // an old server, or one that keeps it to itself
	}
	d.ok("user", "%s of the account %s", console.OrDash(answer.Data.User), answer.Data.Account)
}

func (d *doctor) lookAtJetStream(ctx context.Context, nc *nats.Conn) {
	asking, cancel := d.aside(ctx, asideLimit)
	defer cancel()
	const remedy = "clients do not need it (the server within quartet master gives it to them with " +
		"--client-jetstream); a master that uses this server does: nats-server -js, and jetstream: enabled in the " +
		"account"
	js, err := d.settings.JetStream(nc)
	if err == nil {
		var account *jetstream.AccountInfo
		if account, err = js.AccountInfo(asking); err == nil {
			where := ""
			if account.Domain != "" {
				where = "domain " + account.Domain + ", "
			}
			d.ok("JetStream", "%s%d streams, %d bytes in files", where, account.Streams, account.Store)
			d.lookAtStreams(ctx, js)
			return
		}
	}
	if errors.Is(err, context.Canceled) {
		err = context.Cause(asking) // the server's refusal
	}
	d.note("JetStream", fmt.Sprintf("not to be had: %v", err), remedy)
}

// lookAtStreams finds streams that take requests: each acknowledges a request where only the
// cluster should answer, and keeps all keys and values.
func (d *doctor) lookAtStreams(ctx context.Context, js jetstream.JetStream) {
	subjects, err := bus.NewSubjects(d.conn.Prefix)
	if err != nil {
		return // lookAtCluster says so
	}
	for _, subject := range []string{subjects.Request(), subjects.Batch(), subjects.Read(), subjects.Status()} {
		d.lookForStreams(ctx, js, subject)
	}
}

// lookForStreams finds the streams that take one subject. The question has a limit of its own.
func (d *doctor) lookForStreams(ctx context.Context, js jetstream.JetStream, subject string) {
	ctx, cancel := d.aside(ctx, asideLimit)
	defer cancel()

	names := js.StreamNames(ctx, jetstream.WithStreamListSubject(subject))
	for name := range names.Name() {
		d.finding("streams", fmt.Sprintf("stream %s takes %s: it answers every message there before the cluster "+
			"does, and stores it", name, subject),
			"give it other subjects (nats stream edit "+name+" --subjects …), or NoAck; quartet's own clients pass "+
				"its answers over, nats req takes the first")
	}
	if err := names.Err(); err != nil {
		d.note("streams", fmt.Sprintf("which streams take %s is not known: %v", subject, err),
			"nats stream find, as a user who may, lists the streams and their subjects")
	}
}

func (d *doctor) lookAtCluster(ctx context.Context, nc *nats.Conn) {
	options := append(d.conn.Options(), client.WithRetries(0))
	c, err := client.New(nc, options...)
	if err != nil {
		d.finding("cluster", err.Error(), "look at the settings above")
		return
	}
	defer c.Close()
	asking, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	s, err := c.Status(asking)
	if d.denied() {
		return // lookAtPermissions says what
	}
	if err != nil {
		d.finding("cluster", fmt.Sprintf("nobody answers on %s.status: %v", d.conn.Prefix, err),
			"is a master running on this server, and is --prefix its own? Start one with: quartet master --nats "+d.settings.Redacted())
		d.status = exit.StatusNoCluster
		return
	}
	d.lookAtStatus(&s)
	d.lookAtReplicas(&s)
	d.askInAllModels(ctx, c, &s)
}

func (d *doctor) lookAtStatus(s *bus.Status) {
	text := fmt.Sprintf("epoch %d, %d replicas, version %s", s.Epoch, len(s.Replicas), console.OrDash(s.Version))
	switch {
	case !s.Ready:
		d.finding("cluster", fmt.Sprintf("not ready: %s (%s)", console.OrDash(s.Reason), text), trouble.Remedy(s.Reason))
	case s.Reason != "":
		d.finding("cluster", s.Reason+" ("+text+")", trouble.Remedy(s.Reason))
	default:
		d.ok("cluster", "ready, %s", text)
	}
	for _, warning := range s.Warnings {
		d.finding("next fault", warning, trouble.Remedy(warning))
	}
	if d.env.Version != "" && s.Version != "" && s.Version != d.env.Version {
		d.note("version", fmt.Sprintf("the cluster is version %s, this command %s", s.Version, d.env.Version),
			"use the same on both sides where something is unclear")
	}
	d.lookAtData(s)
	d.lookAtSupervision(s)
	if members := slices.DeleteFunc(slices.Clone(s.Replicas), func(r bus.ReplicaStatus) bool { return !r.Member }); len(members) < 3 &&
		s.Ready {
		d.note("replicas", counted(len(members), "member"), "three let one die without loss: quartet replica --id … adds one")
	}
}

// lookAtData says where the members keep data and what acknowledged data survive, as they say
// themselves.
func (d *doctor) lookAtData(s *bus.Status) {
	const what = "durability"
	var inMemory, unsaid []string
	for _, r := range s.Replicas {
		switch {
		case !r.Member:
		case r.Data == bus.DataMemory:
			inMemory = append(inMemory, r.ID)
		case r.Data == "":
			unsaid = append(unsaid, r.ID)
		}
	}

	survives := ""
	if s.Survives != "" {
		survives = "; what is acknowledged " + s.Survives
	}
	switch s.Data {
	case "":
		d.note(what, "no member has said yet where it keeps data", "they say it with the next view: look again once the cluster is ready")
	case bus.DataMemory:
		d.note(what, "data are in memory: they are lost when all processes end"+survives,
			"quartet master --dir DIR keeps them; --sync always through a power cut, too")
	case bus.DataMixed:
		d.note(what, fmt.Sprintf("members differ: in memory %s, the others on disk, sync %s%s",
			console.OrDash(strings.Join(inMemory, ", ")), console.OrDash(s.Sync), survives),
			"for as much as the disks promise, start those in memory anew with --dir, one after the other")
	default:
		d.ok(what, "data: %s, sync %s%s", s.Data, console.OrDash(s.Sync), survives)
	}
	if said := s.Data != ""; said && len(unsaid) > 0 {
		d.note(what, "not said by "+strings.Join(unsaid, ", "),
			"a replica of an earlier version does not say it: see with what flags it was started")
	}
}

// lookAtSupervision names the replicas that the master which answers does not start again when
// they end.
func (d *doctor) lookAtSupervision(s *bus.Status) {
	var elsewhere []string
	for _, r := range s.Replicas {
		if !r.Supervised && r.PID != 0 {
			elsewhere = append(elsewhere, r.ID)
		}
	}
	switch len(elsewhere) {
	case 0:
	case 1:
		d.note("supervision", elsewhere[0]+" was started elsewhere: this master does not start it again when it ends", restarted)
	default:
		d.note("supervision",
			strings.Join(elsewhere, ", ")+
				" were started elsewhere: this master does not start them again when they end", restarted)
	}
}

// restarted says how such a replica comes back.
const restarted = "have whoever started such a replica start it again (systemd), or run the master that started it, " +
	"in its own --dir: quartet master … --takeover"

func (d *doctor) lookAtReplicas(s *bus.Status) {
	var highest uint64
	for _, r := range s.Replicas {
		highest = max(highest, r.Position)
	}
	for i := range s.Replicas {
		r := &s.Replicas[i]
		if len(r.Unheard) > 0 {
			d.finding("network", fmt.Sprintf("%s does not hear %s, and the master hears both", r.ID, strings.Join(r.Unheard, ", ")),
				"look at the network between their machines, and at the routes between the NATS servers that they use (nats server list)")
		}
		switch {
		case !r.Member:
			d.finding(r.ID, fmt.Sprintf("is no member (%s): %s", console.OrDash(r.Phase), console.OrDash(r.Reason)), absence(r, s.Ready))
		case r.Restarts > 0:
			d.finding(r.ID, fmt.Sprintf("its process ended %s lately: %s", counted(r.Restarts, "time"),
				console.OrDash(r.LastError)), fmt.Sprintf("look at %s.log and %s.out in the master's log directory", r.ID, r.ID))
		case r.Queue > laggingQueue:
			d.note(r.ID, fmt.Sprintf("%d broadcasts wait to be delivered", r.Queue),
				"a replica is slow or unreachable, or the load is beyond this cluster: look at quartet top")
		default:
			d.ok(r.ID, "member, position %d (%d behind the first), %d keys", r.Position, highest-r.Position, r.Keys)
		}
	}
}

// counted is a number of things: 1 member, 2 members.
func counted(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// absence says what to do about a replica that is no member of a cluster that is ready, or not.
func absence(r *bus.ReplicaStatus, ready bool) string {
	isSilent := strings.HasPrefix(r.Reason, "it does not answer")
	switch {
	case isSilent:
		return fmt.Sprintf("see that its process runs, is not stopped, and reaches the NATS server (%s.log): it is let in "+
			"once it answers. For good without it: quartet remove %s", r.ID, r.ID)
	case r.Phase == "boot", r.Phase == "":
		return fmt.Sprintf("look at %s.log in the log directory; the master starts its own replicas again, others: "+
			"quartet replica --id %s. For good without it: quartet remove %s", r.ID, r.ID, r.ID)
	case !ready:
		return "what is said of the cluster above comes first: it waits for the next view"
	case r.Phase == "learning", r.Phase == "caught":
		return "it is being loaded and becomes a member by itself: look again in a moment"
	}
	return "it waits for the next view: look again in a moment"
}

// asked is how a get of one model ended.
type asked struct {
	result client.Result
	err    error
	took   time.Duration
}

// askInAllModels shows that each model is served. All are asked at the same time, each with a
// limit of its own, so that a model that hangs leaves the others theirs.
func (d *doctor) askInAllModels(ctx context.Context, c *client.Client, s *bus.Status) {
	ends := make([]asked, len(model.All))
	var all sync.WaitGroup
	for i, m := range model.All {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, limit)
			defer cancel()
			get := client.NewGet(m, doctorKey)
			get.Text = true // by itself: a user need not be let to send batches

			began := time.Now()
			ends[i].result, ends[i].err = c.Do(ctx, get)
			ends[i].took = time.Since(began).Round(time.Microsecond)
		})
	}
	all.Wait()

	for i, m := range model.All {
		end := &ends[i]
		hung := errors.Is(end.err, client.ErrUnknownOutcome)
		switch {
		case end.err == nil, errors.Is(end.err, client.ErrNotFound):
			d.ok(m.Word(), "a get was answered by %s in %s", end.result.Replica, end.took)
		case d.denied():
			return // lookAtPermissions says what
		case m.Strong() && slices.ContainsFunc(s.Replicas, func(r bus.ReplicaStatus) bool { return len(r.Unheard) > 0 }):
			d.finding(m.Word(), fmt.Sprintf("a get was not served: %v", end.err),
				"mend the network between the replicas that do not hear each other: look above")
		case !s.Ready && m.Strong():
			d.finding(m.Word(), fmt.Sprintf("a get was not served: %v", end.err),
				"what is said of the cluster above comes first: this model is served again when it is ready")
		case hung:
			d.finding(m.Word(), fmt.Sprintf("a get had no answer within %s", end.took.Round(time.Millisecond)),
				"the request was taken, or somebody else took it: look at the master's log, and at quartet top for a "+
					"replica that stands still")
		default:
			d.finding(m.Word(), fmt.Sprintf("a get was not served: %v", end.err),
				"look at the master's log, and at what the server allows this user to publish: "+d.conn.Prefix+".request")
		}
	}
}

// lookAtPermissions says what the server refused us meanwhile.
func (d *doctor) lookAtPermissions() {
	d.mu.Lock()
	defer d.mu.Unlock()
	slices.Sort(d.violations)
	for _, v := range slices.Compact(d.violations) {
		d.finding("permissions", v,
			fmt.Sprintf("let this user publish on %[1]s.request, %[1]s.status and %[1]s.report, and subscribe to its "+
				"inbox", d.conn.Prefix))
	}
	if len(d.violations) == 0 {
		d.ok("permissions", "nothing that was tried was refused")
	}
}
