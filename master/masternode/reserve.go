package masternode

import "time"

// Blocks of ids and times that are reserved at once. A restart after a crash skips what
// is left of them.
const (
	ridBlock   = 20_000
	clockBlock = 1_000_000
)

// reservation is what no later master will give out again.
type reservation struct{ rid, clock uint64 }

// reserveAgain is how long after a failed write the next one is tried, while there is
// something left of what was reserved.
const reserveAgain = 100 * time.Millisecond

func (r reservation) covers(rid, clock uint64) bool { return rid < r.rid && clock < r.clock }

// reserve makes sure that neither ids below rid nor times below clock are given out
// again by a later master. The next block is written behind the requests' back when half
// of the last is used up; only when all of it is does a turn wait for the disk. A write
// that fails is an error only then, too.
func (d *runDir) reserve(rid, clock uint64) error {
	covered := d.reserved.covers(rid, clock)
	if d.writing == nil && !d.reserved.covers(rid+ridBlock/2, clock+clockBlock/2) && !(covered && time.Now().Before(d.retryAt)) {
		d.record.NextRID = max(d.record.NextRID, rid+ridBlock)
		d.record.Clock = max(d.record.Clock, clock+clockBlock)
		d.writing = make(chan error, 1)
		go func(r kept, done chan<- error) { done <- d.write(r) }(d.record.clone(), d.writing)
	}
	switch {
	case d.writing == nil:
		return nil
	case !covered:
		return d.written(<-d.writing)
	}
	select {
	case err := <-d.writing:
		if d.written(err) != nil {
			d.retryAt = time.Now().Add(reserveAgain)
		}
	default:
	}
	return nil
}

func (d *runDir) written(err error) error {
	d.writing = nil
	if err == nil {
		d.reserved = reservation{rid: d.record.NextRID, clock: d.record.Clock}
	}
	return err
}
