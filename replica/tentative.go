package replica

import (
	"quartet/replica/lamport"
	"quartet/replica/message"
)

// tentative is the layer of weak writes that were received and are not delivered yet
// (Terry et al. 1995, "Managing Update Conflicts in Bayou", section 4.3: committed and
// tentative). It is a list by identity and version, not one value a key: a retry that a
// restarted master stamped anew is a second version of one identity, and which of them
// counts is known only when one is delivered.
type tentative struct {
	byKey      map[string][]*held
	byIdentity map[identity][]*held
	count      int
}

// held is a tentative write.
type held struct {
	key     string
	value   []byte
	version lamport.Version
	number  uint64 // causal; 0: eventual
	rid     uint64
	digest  uint64
}

// identity is what a request is recognised by: the client's id, else the rID.
type identity struct {
	id  string
	rid uint64
}

func identityOf(r *message.Request) identity {
	if r.Identity != "" {
		return identity{id: r.Identity}
	}
	return identity{rid: r.RID}
}

func newTentative() tentative {
	return tentative{byKey: map[string][]*held{}, byIdentity: map[identity][]*held{}}
}

func (t *tentative) len() int { return t.count }

// find returns a write with r's identity, or nil.
func (t *tentative) find(r *message.Request) *held {
	if l := t.byIdentity[identityOf(r)]; len(l) > 0 {
		return l[0]
	}
	return nil
}

// add holds r unless the same version of it is held already.
func (t *tentative) add(r *message.Request, number uint64) {
	id := identityOf(r)
	for _, h := range t.byIdentity[id] {
		if h.version == r.Version {
			return
		}
	}
	h := &held{key: r.Key, value: r.Value, version: r.Version, number: number, rid: r.RID, digest: r.Digest}
	t.byIdentity[id] = append(t.byIdentity[id], h)
	t.byKey[r.Key] = append(t.byKey[r.Key], h)
	t.count++
}

// newest returns the write to key with the greatest version, or nil.
func (t *tentative) newest(key string) *held {
	var best *held
	for _, h := range t.byKey[key] {
		if best == nil || best.version.Less(h.version) {
			best = h
		}
	}
	return best
}

// remove drops every version of r's identity.
func (t *tentative) remove(r *message.Request) {
	id := identityOf(r)
	for _, h := range t.byIdentity[id] {
		kept := t.byKey[h.key]
		for i, other := range kept {
			if other == h {
				kept = append(kept[:i], kept[i+1:]...)
				break
			}
		}
		if len(kept) == 0 {
			delete(t.byKey, h.key)
		} else {
			t.byKey[h.key] = kept
		}
		t.count--
	}
	delete(t.byIdentity, id)
}
