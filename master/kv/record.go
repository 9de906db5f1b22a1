package kv

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Records are the keys under which the cluster holds the buckets' configurations. No bucket's keys
// begin so: a dollar sign stands in no bucket's name.
const Records = "$kv/"

// state is what is to become of a bucket.
type state string

const (
	stateLive     state = "live"
	stateDeleting state = "deleting" // its keys are being deleted
	stateGone     state = "gone"     // only its numbers are remembered
)

// record is what the cluster holds of a bucket, in the order, like any other value.
type record struct {
	Config  Config    `json:"config"`
	State   state     `json:"state"`
	Created time.Time `json:"created"`
	// First is the first number of the shadow as it is; no number above Ceiling was told.
	First   uint64 `json:"first"`
	Ceiling uint64 `json:"ceiling"`
}

// ceilingStep is how many numbers are reserved at once.
const ceilingStep = 1 << 20

func recordKey(bucket string) string { return Records + bucket }

// parseRecord reads a record. The error wraps [ErrRecord].
func parseRecord(key string, value []byte) (bucket string, r *record, err error) {
	bucket, _ = strings.CutPrefix(key, Records)
	r = new(record)
	if err := json.Unmarshal(value, r); err != nil {
		return bucket, nil, fmt.Errorf("%w: %s: %w", ErrRecord, key, err)
	}
	isKnown := r.State == stateLive || r.State == stateDeleting || r.State == stateGone
	isSound := isBucket(bucket) && r.Config.Name == streamPrefix+bucket && isKnown
	hasNumbers := r.First > 0 && r.Ceiling+1 >= r.First
	if !isSound || !hasNumbers {
		return bucket, nil, fmt.Errorf("%w: %s", ErrRecord, key)
	}
	if fault := r.Config.check(bucket); fault != nil {
		return bucket, nil, fmt.Errorf("%w: %s: %w", ErrRecord, key, fault)
	}
	return bucket, r, nil
}

func (r *record) encode() []byte {
	b, _ := json.Marshal(r) // all of it was decoded, or checked
	return b
}
