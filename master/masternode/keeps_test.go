package masternode

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/master"
)

// members is a status in which each replica is a member that keeps its data in a way.
func members(ways ...message.Keeps) *master.Status {
	s := &master.Status{Ready: true, Epoch: 3}
	for i, w := range ways {
		s.Replicas = append(s.Replicas, master.ReplicaStatus{Node: lamport.Replica(i + 1), Member: true, Keeps: w})
	}
	return s
}

// Where data are, and what they survive, is what the members say, whatever the flags do.
func TestDataAreWhereTheMembersSay(t *testing.T) {
	const m, i, a = message.KeepsMemory, message.KeepsInterval, message.KeepsAlways
	for name, c := range map[string]struct {
		ways       []message.Keeps
		faults     int
		data, sync string
		survives   string
	}{
		"all in memory":      {[]message.Keeps{m, m, m}, 1, "memory", "", "the death of the master and of any one replica"},
		"all on disks":       {[]message.Keeps{i, i, i}, 1, "disk", "interval", "kill -9 of every process"},
		"all synced":         {[]message.Keeps{a, a, a}, 1, "disk", "always", "a power cut"},
		"one is not synced":  {[]message.Keeps{a, a, i}, 1, "disk", "interval", "a power cut"},
		"two are not synced": {[]message.Keeps{a, i, i}, 1, "disk", "interval", "kill -9 of every process"},
		"one in memory, and may be lost": {
			[]message.Keeps{i, i, i, m}, 1, "mixed", "interval", "kill -9 of every process; in memory only: r4",
		},
		"two in memory":       {[]message.Keeps{i, m, m}, 1, "mixed", "interval", "any one replica; in memory only: r2 r3"},
		"none may be lost":    {[]message.Keeps{a, m}, 0, "mixed", "always", "no replica; in memory only: r2"},
		"one has not said it": {[]message.Keeps{i, message.KeepsUnsaid}, 0, "disk", "interval", "kill -9 of every process"},
	} {
		n, _ := shell(t, recordOf(3, 1, 2), nil) // its flags say memory
		n.views.newest.Faults = c.faults
		s := n.statusOf(members(c.ways...))
		if s.Data != c.data || s.Sync != c.sync || !strings.HasSuffix(s.Survives, c.survives) {
			t.Errorf("%s: %s %s, %q", name, s.Data, s.Sync, s.Survives)
		}
	}
}

// A mode that no member has is refused, and of our own replicas any that differs; a member
// from elsewhere may differ.
func TestFlagsThatDiffer(t *testing.T) {
	const m, i, a = message.KeepsMemory, message.KeepsInterval, message.KeepsAlways
	disk := func(sync string) func(*Options) {
		return func(o *Options) { o.Memory, o.Dir, o.Sync = false, t.TempDir(), sync }
	}
	for name, c := range map[string]struct {
		change func(*Options)
		ways   []message.Keeps
		own    []lamport.Node
		want   bool
	}{
		"memory, and so are they":              {nil, []message.Keeps{m, m}, nil, false},
		"memory, and they are on disks":        {nil, []message.Keeps{i, i}, nil, true},
		"disk, and they are in memory":         {disk(SyncInterval), []message.Keeps{m, m}, nil, true},
		"disk, and one of elsewhere is not":    {disk(SyncInterval), []message.Keeps{i, m}, []lamport.Node{1}, false},
		"disk, and one of its own is not":      {disk(SyncInterval), []message.Keeps{i, m}, []lamport.Node{1, 2}, true},
		"always, and its own are not":          {disk(SyncAlways), []message.Keeps{i, i}, []lamport.Node{1, 2}, true},
		"always, and so are they":              {disk(SyncAlways), []message.Keeps{a, a}, []lamport.Node{1, 2}, false},
		"not all have said it, and none has":   {disk(SyncAlways), []message.Keeps{message.KeepsUnsaid, message.KeepsUnsaid}, nil, false},
		"one has not said it and might be one": {disk(SyncAlways), []message.Keeps{message.KeepsUnsaid, m}, nil, false},
	} {
		n, _ := shell(t, recordOf(3, 1, 2), c.change)
		err := n.differ(members(c.ways...), func(r lamport.Node) bool { return slices.Contains(c.own, r) })
		if errors.Is(err, ErrDiffers) != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
}
