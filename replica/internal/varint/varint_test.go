package varint

import (
	"encoding/binary"
	"math"
	"testing"
)

// Each field is read as it was written, and what is given out keeps the memory behind it.
func TestReader(t *testing.T) {
	data := binary.AppendUvarint(nil, math.MaxUint64)
	data = binary.AppendVarint(data, math.MinInt64)
	data = append(data, "key"...)
	data = append(data, "value"...)

	r := Reader{data}
	if v := r.Uint(); v != math.MaxUint64 {
		t.Errorf("%d", v)
	}
	if v := r.Int(); v != math.MinInt64 {
		t.Errorf("%d", v)
	}
	key := r.Bytes(3)
	if _ = append(key, "XXX"...); string(key) != "key" || string(r.Rest) != "value" {
		t.Errorf("%q, then %q", key, r.Rest)
	}
}
