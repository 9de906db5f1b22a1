package replicanode

import (
	"context"
	"errors"
	"fmt"

	"quartet/bus/host/incarnation"
	"quartet/bus/message"
	"quartet/replica/disk"
	"quartet/replica/durable"
	"quartet/replica/store"
)

// storage is what a replica's process begins with, and where it keeps its data.
type storage struct {
	store       store.Store
	disk        *disk.Disk     // nil: in memory
	saved       *durable.Saved // nil: nothing
	incarnation uint64         // unless saved says one
}

// open opens the disk, if there is to be one, and reads what it holds. The Disk belongs
// to the goroutine that calls this.
func open(ctx context.Context, o *Options) (*storage, error) {
	s := &storage{incarnation: incarnation.Draw()}
	if o.Dir == "" {
		s.store = store.NewMemory(s.incarnation)
		return s, nil
	}
	boot, err := bootID()
	if err != nil {
		return nil, fmt.Errorf("cannot tell whether the machine was started anew: %w", err)
	}
	if s.disk, s.saved, err = disk.Open(ctx, disk.Options{Dir: o.Dir, Sync: o.Sync, Cache: o.Cache, BootID: boot, Log: o.Log}); err != nil {
		return nil, err
	}
	s.store = s.disk
	if s.saved != nil && s.saved.State.Node != 0 && s.saved.State.Node != o.ID {
		err := fmt.Errorf("%w: %s is that of %s; put each where it belongs, or move it away: with none a replica is "+
			"loaded from the others", ErrForeign, o.Dir, s.saved.State.Node)
		return nil, errors.Join(err, s.disk.Close())
	}
	if s.saved == nil || !s.disk.TailMayBeMissing() {
		return s, nil
	}
	o.Log.Warn("the machine was started anew without a clean stop, and with --sync interval the last moments before "+
		"that may be missing here: "+
		"this replica comes back as a new one and is loaded from the others", "dir", o.Dir, "position", s.saved.State.Position)
	if err := s.disk.Commit(reborn(s.saved, s.incarnation)); err != nil {
		return nil, errors.Join(err, s.disk.Close())
	}
	return s, nil
}

// reborn makes what was saved the beginning of a new incarnation, and returns the turn
// that does the same to the disk. It must be there before the replica says anything.
//
// The rule: a disk whose tail may be missing holds a prefix of its turns. Its member has
// acknowledged DATA, and reported causal numbers, that may not be among them, so it is
// that member no more: it neither works in the view nor counts among the view's
// survivors. What it has delivered is a prefix of the one order, as short as it may be:
// it goes on from there as a learner. What it had received and not delivered proves
// nothing any more; but a weak write among it may be one that was acknowledged and that
// nobody else holds, so those are kept, and it submits them again.
func reborn(s *durable.Saved, incarnation uint64) *durable.Turn {
	st := &s.State
	t := &durable.Turn{Changed: true, DropData: true, Void: true, VoidAbove: st.Committed}
	for _, d := range s.Data {
		for i := range d.Ops {
			if op := &d.Ops[i]; op.Op == message.OpWeak {
				s.Weak = append(s.Weak, op.Request)
				t.Weak = append(t.Weak, &op.Request)
			}
		}
	}
	s.Data, s.Writes = nil, nil
	st.Incarnation = max(incarnation, st.Incarnation+1)
	st.Learning = st.Record.Epoch > 0
	st.Contiguous, st.Told = nil, nil
	st.Watermark, st.Safe = st.Committed, st.Committed
	st.Votes = durable.Votes{Base: st.Votes.Base} // what it has promised may be missing, too
	t.State = *st
	return t
}

// close ends the use of the disk; in either mode all that was committed is on the medium
// afterwards.
func (s *storage) close() error {
	if s.disk == nil {
		return nil
	}
	return s.disk.Close()
}

// keeps says what the data survive.
func (s *storage) keeps() message.Keeps {
	switch {
	case s.disk == nil:
		return message.KeepsMemory
	case s.disk.Mode() == disk.Always:
		return message.KeepsAlways
	}
	return message.KeepsInterval
}

// String says where the data are.
func (s *storage) String() string {
	if s.disk == nil {
		return "in memory"
	}
	return "on disk, sync " + s.disk.Mode().String()
}
