package replicanode

import (
	"quartet/bus"
	"quartet/replica/watching"
)

// frames are what the present turn tells the watches that read frames: one frame each, or several
// where one would be too large. The zero value is ready.
type frames struct {
	byWatch map[uint64]*frame // of this turn
	turn    []*frame          // the same, in the order in which they began
	spare   []*frame          // empty, for the next turn
}

// frame gathers the events of one watch.
type frame struct {
	watch  uint64
	to     string // subject
	flow   uint64 // the last sequence in it that is to be acknowledged; 0: none is
	events bus.FrameWriter
}

// What is kept of one turn for the next one.
const (
	mostSpare  = 256
	spareBytes = bus.FrameBytes + 16<<10 // of a frame
)

// add adds an event to the frame of its watch, which is sent first if it is full.
func (fs *frames) add(e *watching.Event, send func(*frame)) {
	f := fs.byWatch[e.Watch]
	if f == nil {
		f = fs.begin(e)
	}
	if have := f.events.Len(); have > 0 && have+e.Size() > bus.FrameBytes {
		f.end(send)
	}
	f.events.Add(e.Stream, &e.Event)
	if e.Flow {
		f.flow = e.Sequence
	}
}

func (fs *frames) begin(e *watching.Event) *frame {
	f := &frame{}
	if n := len(fs.spare); n > 0 {
		f, fs.spare = fs.spare[n-1], fs.spare[:n-1]
	}
	f.watch, f.to, f.flow = e.Watch, e.To.Reply, 0
	if fs.byWatch == nil {
		fs.byWatch = map[uint64]*frame{}
	}
	fs.byWatch[e.Watch] = f
	fs.turn = append(fs.turn, f)
	return f
}

// end sends what has gathered for a watch.
func (fs *frames) end(watch uint64, send func(*frame)) {
	if f := fs.byWatch[watch]; f != nil {
		f.end(send)
	}
}

func (f *frame) end(send func(*frame)) {
	if f.events.Len() > 0 {
		send(f)
		f.flow = 0
	}
}

// endAll sends what has gathered for all watches.
func (fs *frames) endAll(send func(*frame)) {
	for i, f := range fs.turn {
		f.end(send)
		fs.turn[i] = nil
		if len(fs.spare) < mostSpare && f.events.Cap() <= spareBytes {
			fs.spare = append(fs.spare, f)
		}
	}
	fs.turn = fs.turn[:0]
	clear(fs.byWatch)
}
