package codec

import (
	"errors"
	"runtime"
	"strings"
	"testing"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/model"
)

// The heads of messages from r1, and parts that are right.
const (
	helloHead   = "\x9f\x02\x01\x01\x00\x00\x00"
	installHead = "\x97\x02\x02\x01\x00\x00\x00"
	prepareHead = "\x99\x02\x0c\x01\x00\x00\x00"
	stateHead   = "\x9b\x02\x0d\x01\x00\x00\x00"
	pullHead    = "\x9d\x02\x0e\x01\x00\x00\x00"
	chunkHead   = "\xdc\x00\x1a\x02\x0f\x01\x00\x00\x00"

	goodMembers   = "\x91\x92\x01\x01"
	goodRecord    = "\x9b\x01\x00" + goodMembers + "\x91\x01\x00\x90\x00\x00\x01\x00\x00"
	goodEntry     = "\x96\xa0\x01\x00\x00\x00\xa0"
	goodKeyRecord = "\x98\xa1k\x01\xc0\x00\x00\x00\x00\x00"
	goodData      = "\x98\x01\x00\x00\x00\x01\x00\x90\x90"
)

// bytesOfChunk has a good field wherever it is given none.
func bytesOfChunk(entries, records, cursor, contiguous, data, writes string) string {
	or := func(s, good string) string {
		if s == "" {
			return good
		}
		return s
	}
	return chunkHead + "\x00\xc2\x00\x00\x00\x00" + or(entries, "\x90") + "\x00" + or(records, "\x90") + or(cursor, "\xa0") +
		"\xc2\x00\xc2\xc2" + or(contiguous, "\x90") + or(data, "\x90") + or(writes, "\x90") + "\x00\x00\x00"
}

// expected are a message's bytes and what the error says; "": it is read.
type expected struct{ bytes, want string }

func expect(t *testing.T, all map[string]expected) {
	t.Helper()
	d := NewDecoder()
	for name, test := range all {
		m, err := d.Decode([]byte(test.bytes))
		switch {
		case test.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case test.want != "" && m != nil, test.want != "" && !refusedAs(err, test.want):
			t.Errorf("%s: %v %v (want %q)", name, m, err, test.want)
		}
	}
}

// refusedAs reports whether err refuses a message in a few words, want among them.
func refusedAs(err error, want string) bool {
	return errors.Is(err, ErrMessage) && len(err.Error()) <= 300 && strings.Contains(err.Error(), want)
}

var vector65 = "\xdc\x00\x41" + strings.Repeat("\x00", 65)

func TestRecordsRefused(t *testing.T) {
	record := func(faults, members, configured, missing, cut, rest string) string {
		return installHead + "\x9b\x01" + faults + members + configured + missing + cut + rest + "\x00"
	}
	expect(t, map[string]expected{
		"install":       {installHead + goodRecord, ""},
		"record":        {record("\x00", goodMembers, "\x91\x01", "\x00", "\x90", "\x00\x00\x01\x00"), ""},
		"record of ten": {installHead + "\x9a" + goodRecord[1:len(goodRecord)-1], "11"},
		"record is nil": {installHead + "\xc0", "array"},
		"epoch 0":       {installHead + "\x9b\x00" + goodRecord[2:], "impossible"},
		"faults 1 of 1": {record("\x01", goodMembers, "\x91\x01", "\x00", "\x90", "\x00\x00\x01\x00"), "impossible"},
		"faults 65":     {record("\x41", goodMembers, "\x91\x01", "\x00", "\x90", "\x00\x00\x01\x00"), "faults 65"},
		"no members":    {record("\x00", "\x90", "\x91\x01", "\x00", "\x90", "\x00\x00\x01\x00"), "impossible"},
		"65 members": {
			record("\x00", "\xdc\x00\x41"+strings.Repeat("\x92\x01\x01", 65), "\x91\x01", "\x00", "\x90",
				"\x00\x00\x01\x00"),
			"65",
		},
		"member of three":       {record("\x00", "\x91\x93\x01\x01\x00", "\x91\x01", "\x00", "\x90", "\x00\x00\x01\x00"), "array of 3"},
		"member not configured": {record("\x00", goodMembers, "\x91\x02", "\x00", "\x90", "\x00\x00\x01\x00"), "impossible"},
		"65 configured":         {record("\x00", goodMembers, vector65, "\x00", "\x90", "\x00\x00\x01\x00"), "65"},
		"missing 65":            {record("\x00", goodMembers, "\x91\x01", "\x41", "\x90", "\x00\x00\x01\x00"), "missing 65"},
		"cut of 65":             {record("\x00", goodMembers, "\x91\x01", "\x00", vector65, "\x00\x00\x01\x00"), "65"},
		"high 2^63": {
			record("\x00", goodMembers, "\x91\x01", "\x00", "\x90", "\xcf\x80\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00"),
			"impossible",
		},
		"no master": {record("\x00", goodMembers, "\x91\x01", "\x00", "\x90", "\x00\x00\x00\x00"), "impossible"},
	})
}

// What the messages of view changes and of loading may not hold, and why it is refused.
func TestRefusedInViewChanges(t *testing.T) {
	entry := func(s string) string { return bytesOfChunk("\x91"+s, "", "", "", "", "") }
	keyRecord := func(s string) string { return bytesOfChunk("", "\x91"+s, "", "", "", "") }
	data := func(s string) string { return bytesOfChunk("", "", "", "", "\x91"+s, "") }

	expect(t, map[string]expected{
		"hello":                {helloHead + "\x00\x05\x00\x00\x00\x00\x00\xc2\x00", ""},
		"phase 0":              {helloHead + "\x00\x00\x00\x00\x00\x00\x00\xc2\x00", "phase 0"},
		"phase 6":              {helloHead + "\x00\x06\x00\x00\x00\x00\x00\xc2\x00", "phase 6"},
		"phase 257":            {helloHead + "\x00\xcd\x01\x01\x00\x00\x00\x00\x00\xc2\x00", "phase 257"},
		"pid":                  {helloHead + "\xce\x80\x00\x00\x00\x05\x00\x00\x00\x00\x00\xc2\x00", "pid"},
		"prepare":              {prepareHead + "\x01\x00\x03", ""},
		"holder m1":            {prepareHead + "\x01\x00\xce\x00\x01\x00\x01", "holder"},
		"state":                {stateHead + "\x01\x90\x00\x00\x00", ""},
		"contiguous of 65":     {stateHead + "\x01" + vector65 + "\x00\x00\x00", "65"},
		"contiguous is nil":    {stateHead + "\x01\xc0\x00\x00\x00", "array"},
		"pull":                 {pullHead + "\x00\x00\xa1k\xc2\xc3\x90\x00", ""},
		"held of 65":           {pullHead + "\x00\x00\xa1k\xc2\xc3" + vector65 + "\x00", "65"},
		"pull's cursor":        {pullHead + "\x00\x00\xda\x04\x02" + strings.Repeat("k", 1026) + "\xc2\xc3\x90\x00", "cursor"},
		"cursor as bin":        {pullHead + "\x00\x00\xc4\x01k\xc2\xc3\x90\x00", "cursor"},
		"scanned as number":    {pullHead + "\x00\x00\xa1k\x01\xc3\x90\x00", "boolean"},
		"chunk":                {bytesOfChunk("", "", "", "", "", ""), ""},
		"chunk of 25":          {strings.Replace(bytesOfChunk("", "", "", "", "", ""), "\x1a", "\x19", 1), "25 fields"},
		"chunk's cursor":       {bytesOfChunk("", "", "\xda\x04\x02"+strings.Repeat("k", 1026), "", "", ""), "cursor"},
		"chunk's contiguous":   {bytesOfChunk("", "", "", vector65, "", ""), "65"},
		"entry":                {entry(goodEntry), ""},
		"entry of five":        {entry("\x95\xa0\x01\x00\x00\x00"), "entry of 5"},
		"entry's identity":     {entry("\x96\xda\x01\x01" + strings.Repeat("i", 257) + goodEntry[2:]), "identity"},
		"entry's key":          {entry(goodEntry[:6] + "\xda\x04\x01" + strings.Repeat("k", 1025)), "key"},
		"key record":           {keyRecord(goodKeyRecord), ""},
		"key record of seven":  {keyRecord("\x97" + goodKeyRecord[1:len(goodKeyRecord)-1]), "7 fields"},
		"key record, no key":   {keyRecord("\x98\xa0" + goodKeyRecord[3:]), "key"},
		"key record's key":     {keyRecord("\x98\xda\x04\x01" + strings.Repeat("k", 1025) + goodKeyRecord[3:]), "key"},
		"key record of kind 0": {keyRecord("\x98\xa1k\x00" + goodKeyRecord[4:]), "kind"},
		"kind 255":             {keyRecord("\x98\xa1k\xcc\xff" + goodKeyRecord[4:]), ""},
		"key record, kind 256": {keyRecord("\x98\xa1k\xcd\x01\x00" + goodKeyRecord[4:]), "kind"},
		"key record, too long": {
			keyRecord("\x98\xa1k\x01\xc6\x00\x08\x00\x00" + strings.Repeat("v", 512<<10) + goodKeyRecord[5:]),
			"too long",
		},
		"key record's value": {keyRecord("\x98\xa1k\x01\xa1v" + goodKeyRecord[5:]), "value"},
		"data":               {data(goodData), ""},
		"data of seven":      {data("\x97" + goodData[1:len(goodData)-1]), "DATA of 7"},
		"data from nobody":   {data("\x98\x00" + goodData[2:]), "no node"},
		"data is nil":        {data("\xc0"), "array"},
		"data's received":    {data(goodData[:7] + vector65 + "\x90"), "65"},
		"data's operation":   {data(goodData[:8] + "\x91\x92\x08\x00"), "operation 8"},
		"data nested deep":   {bytesOfChunk("", "", "", "", strings.Repeat("\x91", 100_000), ""), "DATA of 1"},
		"write of one":       {bytesOfChunk("", "", "", "", "", "\x91\x91"+strings.Repeat("\x00", 20)), "causal write of 1"},
	})
}

func TestDeclaredLengthsInViewChangesAllocateNothing(t *testing.T) {
	const many = "\xdd\x00\x01\x00\x00" // 65,536
	d := NewDecoder()
	for name, b := range map[string]string{
		"members":    installHead + "\x9b\x01\x00\xdc\x00\x40" + strings.Repeat("\x92\x01", 64),
		"configured": installHead + "\x9b\x01\x00" + goodMembers + "\xdd\xff\xff\xff\xff\x01",
		"contiguous": stateHead + "\x01" + many + strings.Repeat("\x00", 1000),
		"entries":    bytesOfChunk(many+strings.Repeat(goodEntry, 100), "", "", "", "", ""),
		"records":    bytesOfChunk("", many+strings.Repeat(goodKeyRecord, 100), "", "", "", ""),
		"data":       bytesOfChunk("", "", "", "", many+strings.Repeat(goodData, 100), ""),
		"writes":     bytesOfChunk("", "", "", "", "", many+strings.Repeat("\x92", 1000)),
		"cursor":     bytesOfChunk("", "", "\xdb\xff\xff\xff\xff", "", "", ""),
		"value":      bytesOfChunk("", "\x91\x98\xa1k\x01\xc6\x00\x07\xff\x00", "", "", "", ""),
	} {
		const runs = 100
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range runs {
			if _, err := d.Decode([]byte(b)); err == nil {
				t.Fatalf("%s was decoded", name)
			}
		}
		runtime.ReadMemStats(&after)
		if got := (after.TotalAlloc - before.TotalAlloc) / runs; got > 8192 {
			t.Errorf("%s: %d bytes", name, got)
		}
	}
}

func TestEncoderKeepsTheDecodersLimitsInViewChanges(t *testing.T) {
	e := NewEncoder()
	long := func(n int) string { return strings.Repeat("x", n) }
	install := func(change func(*message.Record)) message.Message {
		r := epochRecord()
		change(&r)
		return &message.Install{Header: head(1), Record: r}
	}
	keyRecord := func(r message.KeyRecord) message.Message {
		return &message.Chunk{Header: head(1), Records: []message.KeyRecord{r}}
	}

	for name, m := range map[string]message.Message{
		"phase 0":        &message.Hello{Header: head(1)},
		"phase 6":        &message.Hello{Header: head(1), Phase: 6},
		"no record":      &message.Install{Header: head(1)},
		"faults":         install(func(r *message.Record) { r.Faults = -1 }),
		"missing":        install(func(r *message.Record) { r.Missing = -1 }),
		"high":           install(func(r *message.Record) { r.High = lamport.Limit }),
		"65 cut":         install(func(r *message.Record) { r.Cut = make([]uint64, 65) }),
		"65 configured":  install(func(r *message.Record) { r.Configured = replicas(65) }),
		"65 members":     install(func(r *message.Record) { r.Configured, r.Members = replicas(65), members(65) }),
		"holder":         &message.Prepare{Header: head(1), Holder: lamport.Master(1)},
		"65 in a cut":    &message.Prepare{Header: head(1), Cut: make([]uint64, 65)},
		"DATA of m1":     &message.Gap{Header: head(1), Of: lamport.Master(1)},
		"nil in a fill":  &message.Fill{Header: head(1), Data: []*message.Data{nil}},
		"65 contiguous":  &message.State{Header: head(1), Contiguous: make([]uint64, 65)},
		"65 held":        &message.Pull{Header: head(1), Held: make([]uint64, 65)},
		"cursor":         &message.Pull{Header: head(1), Cursor: long(MaxCursor + 1)},
		"chunk's cursor": &message.Chunk{Header: head(1), Cursor: long(MaxCursor + 1)},
		"65 in a chunk":  &message.Chunk{Header: head(1), Contiguous: make([]uint64, 65)},
		"entries":        &message.Chunk{Header: head(1), Entries: make([]message.Executed, MaxList+1)},
		"identity":       &message.Chunk{Header: head(1), Entries: []message.Executed{{Identity: long(model.MaxIdentity + 1)}}},
		"entry's key":    &message.Chunk{Header: head(1), Entries: []message.Executed{{Key: long(model.MaxKey + 1)}}},
		"no kind":        keyRecord(message.KeyRecord{Key: "k"}),
		"no key":         keyRecord(message.KeyRecord{Kind: 1}),
		"key":            keyRecord(message.KeyRecord{Kind: 1, Key: long(model.MaxKey + 1)}),
		"value":          keyRecord(message.KeyRecord{Kind: 1, Key: "k", Value: make([]byte, model.MaxKeyValue)}),
		"nil data":       &message.Chunk{Header: head(1), Data: []*message.Data{nil}},
		"data from none": &message.Chunk{Header: head(1), Data: []*message.Data{{}}},
		"data's ops":     &message.Chunk{Header: head(1), Data: []*message.Data{{Header: head(1), Ops: []message.Operation{{Op: 8}}}}},
		"write":          &message.Chunk{Header: head(1), Writes: []message.CausalWrite{{}}},
	} {
		if b, err := e.Encode(m); !errors.Is(err, ErrMessage) || b != nil {
			t.Errorf("%s: %d bytes, %v", name, len(b), err)
		}
	}

	// And what is just within them is written, and can be read.
	r := epochRecord()
	r.Configured, r.Members, r.Cut = replicas(64), members(64), make([]uint64, 64)
	for name, m := range map[string]message.Message{
		"64 of everything": &message.Install{Header: head(1), Record: r},
		"longest value":    keyRecord(message.KeyRecord{Kind: 1, Key: "k", Value: make([]byte, model.MaxKeyValue-1)}),
		"longest list":     &message.Chunk{Header: head(1), Entries: make([]message.Executed, MaxList)},
	} {
		b, err := e.Encode(m)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, err := NewDecoder().Decode(b); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func replicas(n int) []lamport.Node {
	var nodes []lamport.Node
	for i := range n {
		nodes = append(nodes, lamport.Replica(i+1))
	}
	return nodes
}

func members(n int) []message.Member {
	var all []message.Member
	for i := range n {
		all = append(all, message.Member{Node: lamport.Replica(i + 1), Incarnation: 1})
	}
	return all
}
