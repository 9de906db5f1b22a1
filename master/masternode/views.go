package masternode

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"quartet/bus"
	"quartet/bus/codec"
	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/master/ledger"
	"quartet/master/membership"
	"quartet/master/membership/register"
)

// views is the shell's part in the decisions about views: it executes the commands of the
// machine on the store of the record, and knows the newest record.
type views struct {
	store    *register.Store // nil: it was not opened yet
	options  register.Options
	unread   bool            // nobody has seen yet what stands in the store: see unread.go
	newest   *message.Record // nil: none was ever written, or it is unread
	failing  string          // what the store said last; "": it answers
	since    time.Time       // of failing: the first time in a row
	worked   time.Time       // when it answered last
	complain time.Time       // not before
	begun    uint64          // that this process has learned of
	filled   bool            // the disk was full since the store has worked last
	failed   time.Time       // when it has failed last
	restart  time.Time       // of JetStream: only if it has failed after that
	healed   chan error      // how its restart ended; nil: none is under way
}

// commandEnd is how a command ended, for the inbox.
type commandEnd struct {
	result   membership.Result
	proposed *message.Record // nil: it was a read
	opened   *register.Store // that the command has opened first; nil: it was open, or could not be
	err      error           // why the result is Unknown
}

const (
	storeWait     = 5 * time.Second  // for one attempt to open the store
	storeHaste    = time.Second      // for the only attempt while replicas are at work
	storePatience = 10 * time.Second // for all of them
	silentServers = 2 * time.Second  // where nobody listens: without JetStream nobody ever will
	storeAgain    = 500 * time.Millisecond
	complainEvery = 5 * time.Second
	checkEvery    = 5 * time.Second // while the view works
	healEvery     = 5 * time.Second // JetStream is restarted after a full disk
)

// openViews finds the record's store and reads what stands there. Servers that are still
// agreeing on a leader are given time, unless replicas are at work: then the record stays unread
// for now. One that is damaged counts as lost.
func (n *node) openViews(ctx context.Context) error {
	if n.voting() {
		n.openVotes()
		return nil
	}
	n.views.options = n.storeOptions()
	wait, atWork := storeWait, n.handedOver || n.anyListens()
	if atWork {
		wait = storeHaste
	}

	begun := time.Now()
	for said := false; ; said = true {
		err := n.tryViews(ctx, wait)
		switch {
		case !errors.Is(err, register.ErrUnavailable):
			return err
		case atWork && ctx.Err() == nil: // what needs no record is served meanwhile (rule W1)
			n.leaveUnread(err)
			return nil
		case errors.Is(err, bus.ErrPermission): // time changes nothing
			return err
		case time.Since(begun) > storePatience, errors.Is(err, nats.ErrNoResponders) && time.Since(begun) > silentServers:
			return fmt.Errorf("%w (%s)", err, lookAt(err, n.views.options.Domain))
		case !said:
			n.opts.Log.Warn("the record of the views cannot be read yet", "error", err)
		}

		select {
		case <-time.After(storeAgain):
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ErrStopped, err)
		}
	}
}

// lookAt is what to look at where JetStream does not answer, or not to us.
func lookAt(err error, domain string) string {
	switch {
	case errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		return "is JetStream enabled for the account of this user?"
	case domain != "":
		return fmt.Sprintf("is there JetStream in the domain %q, which --js-domain names, and do its servers reach this one?", domain)
	}
	return "are the servers up, and is JetStream enabled on them?"
}

// storeOptions say where the record is.
func (n *node) storeOptions() register.Options {
	o := register.Options{Prefix: n.opts.Prefix, Memory: n.viewInMemory()}
	if n.opts.Connection != nil {
		o.Domain = n.opts.Connection.Domain()
	}
	if !n.isOneOfSeveral() && !o.Memory {
		o.Sync = n.server.SyncNodes
	}
	return o
}

func (n *node) tryViews(ctx context.Context, wait time.Duration) (err error) {
	if n.voting() { // the replicas are asked once this master leads
		return nil
	}
	if n.views.store == nil {
		if n.views.store, err = n.openStore(ctx, wait, n.views.options); err != nil {
			return err
		}
	}
	n.views.newest, _, err = n.views.store.Read(ctx)
	if errors.Is(err, register.ErrDamaged) { // the replicas hold it, too
		n.opts.Log.Error("the record of the views is damaged; it is made anew from what the replicas hold", "error", err)
		n.views.newest, err = nil, nil
	}
	if err != nil {
		return fmt.Errorf("master: %w", err)
	}
	return nil
}

// forgetViews removes the record of a cluster whose replicas, all of them this master's
// own and in memory, are gone: the next begins anew.
func (n *node) forgetViews(ctx context.Context) error {
	js, err := n.views.store.JetStream(n.nodes)
	if err != nil {
		return fmt.Errorf("master: %w", err)
	}
	err = js.DeleteKeyValue(ctx, n.views.store.Bucket())
	if err != nil && !errors.Is(err, jetstream.ErrBucketNotFound) && !errors.Is(err, jetstream.ErrStreamNotFound) {
		return fmt.Errorf("master: cannot remove the record of the views: %w", err)
	}
	n.views = views{}
	n.dir.record.View = nil
	if err := os.Remove(filepath.Join(n.dir.path, viewFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("master: cannot remove the record of the views: %w", err)
	}
	return nil
}

// viewInMemory reports whether the bucket of the record is in memory: with --memory and an
// embedded server, so that no cleaner of temporary files can take it from a cluster at work.
// Then this master keeps the record beside its own, before any replica is told of it.
func (n *node) viewInMemory() bool {
	return n.opts.Memory && !n.isOneOfSeveral() && !n.voting()
}

// keepView keeps a record for a later master of the same command. A disk that is full is no
// reason to stop: it is tried again (lookFiles, supervisor.save).
func (n *node) keepView(r *message.Record) {
	if !n.viewInMemory() {
		return
	}
	b, err := codec.NewEncoder().EncodeRecord(r)
	if err == nil {
		n.dir.record.View = slices.Clone(b)
		if err = n.dir.save(); err != nil { // the directory may be gone
			n.dir.renewAt = time.Time{}
			if again, rerr := n.dir.renew(time.Now()); again {
				err = rerr
			}
		}
	}
	if err != nil {
		n.super.unsaved = true
		n.opts.Log.Warn("the record of the views is not kept for a later master", "epoch", r.Epoch, "error", err)
	}
}

// restoreView takes the record that an earlier master has kept for the newest. It is kept
// three times, in files that are written one after the other: the newest that can be read
// counts.
func (n *node) restoreView() {
	if !n.viewInMemory() || n.views.newest != nil {
		return
	}
	alone, err := os.ReadFile(filepath.Join(n.dir.path, viewFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		n.opts.Log.Warn("a copy of the record of the views cannot be read", "error", err)
	}
	for _, b := range [][]byte{n.dir.record.View, alone} {
		if len(b) == 0 {
			continue
		}
		r, err := codec.NewDecoder().DecodeRecord(b)
		switch {
		case err != nil:
			n.opts.Log.Warn("a copy of the record of the views is damaged", "error", err)
		case n.views.newest == nil || n.views.newest.Epoch < r.Epoch:
			n.views.newest = &r
		}
	}
}

// seedView puts the record that was restored into the new server's bucket, which nobody else
// knows.
func (n *node) seedView(ctx context.Context) error {
	if !n.viewInMemory() || n.views.newest == nil {
		return nil
	}
	what, _, err := n.views.store.Propose(ctx, *n.views.newest, 0)
	if what != register.Won {
		return fmt.Errorf("master: cannot put the record of the views back (%s): %w", what, err)
	}
	return nil
}

// execute runs a command of the machine beside the loop; its outcome comes by the inbox.
func (n *node) execute(c *membership.Command) {
	go func(store *register.Store, options register.Options) {
		o := &commandEnd{result: membership.Result{Number: c.Number}, proposed: c.Propose}
		if store == nil {
			store, o.err = n.openStore(n.commands, storeWait, options)
			o.opened = store
		}
		switch {
		case store == nil:
			o.result.Fate = membership.Unknown
		case c.Propose != nil:
			o.propose(n.commands, store, c)
		case c.Check:
			o.check(n.commands, store)
		default:
			o.read(n.commands, store)
		}
		n.inbox.Push(event{source: fromStore, ended: o})
	}(n.views.store, n.views.options)
}

func (o *commandEnd) read(ctx context.Context, store *register.Store) {
	r, revision, err := store.Read(ctx)
	o.result.Fate, o.result.Record, o.result.Revision, o.err = membership.Read, r, revision, err
	switch {
	case errors.Is(err, register.ErrDamaged): // nothing that is of use stands there
		o.result.Record, o.result.Damaged = nil, true
	case err != nil:
		o.result.Fate = membership.Unknown
	}
}

// check reads the record, and finds out whether the store would take another.
func (o *commandEnd) check(ctx context.Context, store *register.Store) {
	o.read(ctx, store)
	switch {
	case o.err == nil:
		o.err = store.Try(ctx)
	}
}

func (o *commandEnd) propose(ctx context.Context, store *register.Store, c *membership.Command) {
	var what register.Fate
	what, o.result.Revision, o.err = store.Propose(ctx, *c.Propose, c.Revision)
	switch what {
	case register.Won:
		o.result.Fate = membership.Won
	case register.Lost:
		o.result.Fate = membership.Lost
	default:
		o.result.Fate = membership.Unknown
	}
}

// decided takes the outcome of a command to the machine.
func (n *node) decided(o *commandEnd) {
	if o.opened != nil {
		n.views.store = o.opened
	}
	n.noteStore(o.err)
	if o.result.Fate != membership.Unknown {
		n.views.unread = false
	}
	n.machine.Result(o.result, &n.out)
	switch {
	case o.result.Fate == membership.Won:
		n.learn(o.proposed)
	case o.result.Record != nil:
		n.learn(o.result.Record)
	}
}

// noteStore logs when the store ceases and begins to answer.
func (n *node) noteStore(err error) {
	v := &n.views
	if err == nil {
		v.worked = time.Now()
		if v.failing != "" {
			n.opts.Log.Info("the record of the views can be reached again")
		}
		v.failing, v.filled = "", n.room.why != ""
		return
	}
	now := time.Now()
	v.failed = now
	if v.failing == "" {
		v.since = now
	}
	if v.failing == "" || !now.Before(v.complain) {
		v.complain = now.Add(complainEvery)
		text := "the view cannot be changed: its record cannot be reached"
		if errors.Is(err, register.ErrDamaged) {
			text = "the record of the views is lost; it is written again as soon as it is sure that no later one is given up by that"
		}
		n.opts.Log.Error(text, "error", err)
	}
	v.failing = err.Error()
}

// heal restarts JetStream of the embedded server when the record's bucket still fails
// although a disk that was full has room again: the bucket remembers that it was full. It
// goes on beside the loop; commands that meet it end as unknown, and are tried again.
func (n *node) heal(now time.Time) {
	v := &n.views
	v.filled = v.filled || n.room.why != ""
	if v.healed != nil {
		select {
		case err := <-v.healed:
			v.healed, v.restart = nil, now.Add(healEvery)
			if err != nil {
				n.opts.Log.Error("the store of the view's record cannot be opened again", "error", err)
			}
		default:
		}
		return
	}
	onDisk := !n.isOneOfSeveral() && !n.viewInMemory()
	roomAgain := v.filled && n.room.why == ""
	failing := v.failing != "" && v.failed.After(v.restart)
	if !onDisk || !roomAgain || !failing {
		return
	}
	n.opts.Log.Warn("the disk was full, and the record of the views cannot be written yet: its store is opened again")
	v.healed = make(chan error, 1)
	go func(done chan<- error) { done <- n.server.RestartJetStream() }(v.healed)
}

// trouble says why the next change of the view would fail, and since when that is known, or
// "". The store is tried every few seconds while all is well (checkEvery), and whenever the
// view changes.
func (n *node) trouble() (why string, since time.Time) { return n.views.failing, n.views.since }

// learn takes note of a record. A replica of our own that it has not any more was removed
// by an operator: its process ends, and is not started again.
func (n *node) learn(r *message.Record) {
	if v := n.views.newest; v != nil && v.Epoch >= r.Epoch {
		return
	}
	n.views.newest = r
	n.views.begun++
	n.keepView(r)
	n.service.view(r)
	members := make([]string, len(r.Members))
	for i, m := range r.Members {
		members[i] = m.Node.String()
	}
	n.opts.Ledger.Changed(ledger.View{At: time.Now(), Epoch: r.Epoch, Members: members, Configured: names(r.Configured)})
	n.opts.Log.Info("view", "epoch", r.Epoch, "members", members, "of", names(r.Configured), "causal", r.High)
	for _, own := range n.super.own() {
		if !r.Configures(own) {
			n.opts.Log.Info("a replica was removed from the cluster; its process ends", "replica", own)
			n.letGo(own)
		}
	}
}

func names(nodes []lamport.Node) []string {
	list := make([]string, len(nodes))
	for i, n := range nodes {
		list[i] = n.String()
	}
	return list
}

// replicaSet says of which replicas the cluster consists: at its first start, as many as
// the options say, all of them our own; later, those of the record.
func (n *node) replicaSet() ([]lamport.Node, error) {
	if r := n.views.newest; r != nil {
		if len(r.Configured) != n.opts.Replicas {
			n.opts.Log.Warn("the cluster has another number of replicas than --replicas says, and keeps it: "+
				"add one with \"quartet replica\", take one out with \"quartet remove\"",
				"replicas", names(r.Configured), "asked_for", n.opts.Replicas)
		}
		return slices.Clone(r.Configured), nil
	}
	set := n.opts.first()
	if n.opts.Node == nil { // a node has its own since its start
		n.dir.record.Own = names(set)
	}
	return set, n.dir.save()
}

// lost reports whether the cluster of the record is gone for good: it was in memory, all
// its replicas were our own, and none runs any more, here or elsewhere.
func (n *node) lost() bool {
	r := n.views.newest
	if r == nil || !n.opts.Memory {
		return false
	}
	own := n.super.own()
	return !slices.ContainsFunc(r.Configured, func(c lamport.Node) bool {
		return !slices.Contains(own, c) || n.super.runs(c) || n.listens(c)
	})
}
