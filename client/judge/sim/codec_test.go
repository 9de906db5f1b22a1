package sim

import (
	"bytes"
	"testing"

	"quartet/bus/codec"
	"quartet/bus/message"
)

// A part of the seeds runs with every message encoded and decoded on its way, as the
// processes do it: what a machine says must fit the wire, and must arrive as it was meant.
func TestSeedsThroughTheCodec(t *testing.T) {
	run(t, func(seed uint64) Options {
		o := FromSeed(seed)
		if seed%2 == 0 {
			o = OpsFromSeed(seed)
		}
		enc, dec := codec.NewEncoder(), codec.NewDecoder()
		o.Wire = func(msg message.Message) (message.Message, error) {
			b, err := enc.Encode(msg)
			if err != nil {
				return nil, err
			}
			return dec.Decode(bytes.Clone(b))
		}
		return o
	}, *seeds/20)
}
