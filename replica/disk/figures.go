package disk

import "time"

// Figures are what the storage says of itself, for metrics.
type Figures struct {
	Free        uint64 // bytes left on the disk, when it was asked last; 0: not yet
	Used        uint64 // bytes of the engine's files
	Log         uint64 // bytes of them that are its write-ahead logs
	MemTables   uint64 // bytes in memory that are not in tables yet
	ReadAmp     int    // tables that a read may have to look into
	Flushes     uint64
	Compactions uint64
	Compacting  time.Duration // that all compactions have taken
	Debt        uint64        // bytes, about, that compactions are behind
	Hits        uint64        // of the engine's cache of blocks
	Misses      uint64
}

// Figures asks the engine. It belongs to the Disk's owner, and takes some 10 µs.
func (d *Disk) Figures() Figures {
	f := Figures{Free: d.free}
	if d.broken || d.closed {
		return f
	}
	m := d.db.Metrics()
	f.Used, f.Log, f.MemTables = m.DiskSpaceUsage(), m.WAL.Size, m.MemTable.Size
	f.ReadAmp, f.Flushes, f.Compactions = m.ReadAmp(), uint64(m.Flush.Count), uint64(m.Compact.Count)
	f.Compacting, f.Debt = m.Compact.Duration, m.Compact.EstimatedDebt
	f.Hits, f.Misses = uint64(m.BlockCache.Hits), uint64(m.BlockCache.Misses)
	return f
}
