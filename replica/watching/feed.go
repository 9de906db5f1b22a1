package watching

import (
	"slices"

	"quartet/replica/changes"
)

// feed is a log of changes and the watches that are told from it. Watches are found by their
// prefix, so that a change costs one look for each length of prefix, however many watches there
// are.
type feed struct {
	log      *changes.Log
	seen     uint64 // index: live watches have been told of all before it
	all      []*watch
	byPrefix map[string][]*watch
	lengths  []length // of the prefixes, rising
}

// length is how many watches have a prefix of so many bytes.
type length struct{ bytes, watches int }

// begin makes a feed ready for a watch. Without any, nobody has looked at its log.
func (f *feed) begin() {
	if len(f.all) == 0 {
		f.seen = f.log.Next()
	}
	if f.byPrefix == nil {
		f.byPrefix = map[string][]*watch{}
	}
}

func (f *feed) add(at *watch) {
	f.all = append(f.all, at)
	f.byPrefix[at.prefix] = append(f.byPrefix[at.prefix], at)
	i, found := slices.BinarySearchFunc(f.lengths, len(at.prefix), func(l length, n int) int { return l.bytes - n })
	if !found {
		f.lengths = slices.Insert(f.lengths, i, length{bytes: len(at.prefix)})
	}
	f.lengths[i].watches++
}

func (f *feed) remove(at *watch) {
	is := func(other *watch) bool { return other == at }
	f.all = slices.DeleteFunc(f.all, is)
	if rest := slices.DeleteFunc(f.byPrefix[at.prefix], is); len(rest) > 0 {
		f.byPrefix[at.prefix] = rest
	} else {
		delete(f.byPrefix, at.prefix)
	}

	for i := range f.lengths {
		if f.lengths[i].bytes != len(at.prefix) {
			continue
		}
		if f.lengths[i].watches--; f.lengths[i].watches == 0 {
			f.lengths = slices.Delete(f.lengths, i, i+1)
		}
		return
	}
}

// each calls f for the watches of a key.
func (f *feed) each(key string, call func(*watch)) {
	for _, l := range f.lengths {
		if l.bytes > len(key) {
			return
		}
		for _, at := range f.byPrefix[key[:l.bytes]] {
			call(at)
		}
	}
}
