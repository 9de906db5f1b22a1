package masternode

import (
	"errors"
	"fmt"
	"strings"

	"quartet/bus"
	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/master"
)

// ErrDiffers is returned by Run: the replicas that are at work keep their data otherwise than
// this master was told. It leaves them to run, for the next master.
var ErrDiffers = errors.New("master: the replicas keep their data otherwise")

// keeping is how the members of the view keep their data, as they say themselves.
type keeping struct {
	memory, interval, always []string // members, by what they say
	unsaid                   int      // members that have not said it (yet)
}

func (n *node) keeping(s *master.Status) keeping {
	var k keeping
	for i := range s.Replicas {
		r := &s.Replicas[i]
		name := r.Node.String()
		switch {
		case !r.Member:
		case r.Keeps == message.KeepsMemory:
			k.memory = append(k.memory, name)
		case r.Keeps == message.KeepsInterval:
			k.interval = append(k.interval, name)
		case r.Keeps == message.KeepsAlways:
			k.always = append(k.always, name)
		default:
			k.unsaid++
		}
	}
	beforeAnyView := n.views.newest == nil && s.Epoch == 0 && !n.atWork()
	if !k.said() && beforeAnyView { // what our own replicas are started with
		k.note(n.opts.asked())
	}
	return k
}

// atWork reports whether some replica has said that it knows of a view: its data are there, and
// what they survive is not for this master to say.
func (n *node) atWork() bool {
	for _, phase := range n.phases {
		if phase != message.PhaseBoot {
			return true
		}
	}
	return false
}

func (k *keeping) said() bool { return len(k.memory)+len(k.interval)+len(k.always) > 0 }

func (k *keeping) note(as message.Keeps) {
	const own = "its own"
	switch as {
	case message.KeepsMemory:
		k.memory = append(k.memory, own)
	case message.KeepsAlways:
		k.always = append(k.always, own)
	default:
		k.interval = append(k.interval, own)
	}
}

// asked is how this master was told that data are kept.
func (o *Options) asked() message.Keeps {
	switch {
	case o.Memory:
		return message.KeepsMemory
	case o.Sync == SyncAlways:
		return message.KeepsAlways
	}
	return message.KeepsInterval
}

// data and sync are in the words of the public contract; "": no member has said it yet. Of two
// ways to sync the weaker counts.
func (k *keeping) data() (data, sync string) {
	disks := len(k.interval) + len(k.always)
	switch {
	case !k.said():
		return "", ""
	case disks == 0:
		return bus.DataMemory, ""
	case len(k.memory) > 0:
		data = bus.DataMixed
	default:
		data = bus.DataDisk
	}
	if len(k.interval) > 0 {
		return data, SyncInterval
	}
	return data, SyncAlways
}

// survives says what acknowledged data survive, if that many members may be missing: as many
// as may be missing from the next view may have lost what they held.
func (k *keeping) survives(faults int, spare string) string {
	text := "survives the death of the master and of " + spare
	switch {
	case len(k.always) > 0 && len(k.memory)+len(k.interval) <= faults:
		text = "survives a power cut"
	case len(k.interval)+len(k.always) > 0 && len(k.memory) <= faults:
		text = "survives kill -9 of every process"
	}
	if len(k.memory) > 0 && len(k.interval)+len(k.always) > 0 {
		text += "; in memory only: " + strings.Join(k.memory, " ")
	}
	return text
}

// String is how data are kept, in the words of the command line.
func (k *keeping) String() string {
	switch data, sync := k.data(); data {
	case "":
		return "where its members have not said yet"
	case bus.DataMemory:
		return "in memory"
	case bus.DataMixed:
		return fmt.Sprintf("on disk with sync %s, and in memory (%s)", sync, strings.Join(k.memory, " "))
	default:
		return "on disk with sync " + sync
	}
}

// differs refuses replicas that keep their data otherwise than this master was told: its own,
// which still ran, each of them; those that others have started, if none is as it was told.
func (n *node) differs() error {
	s, ours := n.machine.Snapshot(), n.super.restarts()
	return n.differ(&s, func(r lamport.Node) bool { _, own := ours[r]; return own })
}

func (n *node) differ(s *master.Status, own func(lamport.Node) bool) error {
	asked := n.opts.asked()
	agree, said, members := 0, 0, 0
	for i := range s.Replicas {
		r := &s.Replicas[i]
		if !r.Member {
			continue
		}
		members++
		switch {
		case r.Keeps == message.KeepsUnsaid:
		case r.Keeps == asked:
			said, agree = said+1, agree+1
		case own(r.Node):
			return n.otherwise(s)
		default:
			said++
		}
	}
	if said > 0 && said == members && agree == 0 {
		return n.otherwise(s)
	}
	return nil
}

func (n *node) otherwise(s *master.Status) error {
	k := n.keeping(s)
	return fmt.Errorf("%w: %s, and this master was told %s; start it with %s; "+
		"to change how data are kept, let the cluster end first "+
		"(Ctrl-C; replicas without a master end by themselves after %s)",
		ErrDiffers, &k, n.opts.told(), k.flags(n.opts.Dir), n.opts.OrphanTimeout)
}

// told is what the command line says of the data.
func (o *Options) told() string {
	if o.Memory {
		return "--memory"
	}
	return fmt.Sprintf("--dir %s --sync %s", o.Dir, o.Sync)
}

// flags are those of a master for such replicas.
func (k *keeping) flags(dir string) string {
	data, sync := k.data()
	if data == bus.DataMemory {
		return "--memory"
	}
	if dir == "" {
		dir = "DIR"
	}
	return fmt.Sprintf("--dir %s --sync %s", dir, sync)
}

// differsFrom refuses to take over a cluster whose master says that data are kept otherwise.
func (o *Options) differsFrom(s *bus.Status) error {
	data, sync := bus.DataMemory, ""
	if !o.Memory {
		data, sync = bus.DataDisk, o.Sync
	}
	unsaid, same := s.Data == "", s.Data == data && s.Sync == sync
	if unsaid || same || s.Data == bus.DataMixed {
		return nil
	}
	kept := "in memory"
	if s.Data == bus.DataDisk {
		kept = "on disk with sync " + s.Sync
	}
	return fmt.Errorf("%w: %s, says the master that leads (%s), and this one was told %s", ErrDiffers, kept, describe(s), o.told())
}
