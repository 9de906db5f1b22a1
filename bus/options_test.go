package bus

import (
	"errors"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"quartet/bus/model"
)

func TestParseOptions(t *testing.T) {
	long := strings.Repeat("x", 256)

	for name, c := range map[string]struct {
		header nats.Header
		model  model.Consistency
		want   Options
	}{
		"none":    {nil, model.Causal, Options{}},
		"unknown": {nats.Header{"X-Other": {"\x00"}}, model.Causal, Options{}},
		"all": {
			nats.Header{
				HeaderMsgID: {"id-1"}, HeaderClient: {"Client1"}, HeaderMinTimestamp: {"7"},
				HeaderMinPosition: {"8"}, HeaderReplica: {"r2"},
			},
			model.Causal, Options{Identity: "id-1", Client: "Client1", MinTimestamp: 7, Replica: "r2"},
		},
		"position": {
			nats.Header{HeaderMinTimestamp: {"7"}, HeaderMinPosition: {"18446744073709551615"}}, model.Sequential,
			Options{MinPosition: 1<<64 - 1},
		},
		"minima that don't concern the model, malformed": {
			nats.Header{HeaderMinTimestamp: {"x"}, HeaderMinPosition: {"-1"}}, model.Linearizable, Options{},
		},
		"the other minimum, malformed": {
			nats.Header{HeaderMinTimestamp: {"x"}, HeaderMinPosition: {"3"}}, model.Sequential, Options{MinPosition: 3},
		},
		"minima, no model": {nats.Header{HeaderMinTimestamp: {"x"}}, 0, Options{}},
		"letter case": {
			nats.Header{"nats-msg-id": {"id"}, "QUARTET-MIN-TIMESTAMP": {"9"}}, model.Causal,
			Options{Identity: "id", MinTimestamp: 9},
		},
		"exact before other case": {
			nats.Header{"NATS-MSG-ID": {"other"}, HeaderMsgID: {"exact"}}, model.Causal, Options{Identity: "exact"},
		},
		"two other cases": {
			nats.Header{"nats-msg-id": {"small"}, "NATS-MSG-ID": {"capital"}}, model.Causal,
			Options{Identity: "capital"},
		},
		"first of two": {nats.Header{HeaderMsgID: {"a", "b"}}, model.Causal, Options{Identity: "a"}},
		"no value":     {nats.Header{HeaderMsgID: {}}, model.Causal, Options{}},
		"blanks around": {
			nats.Header{HeaderMsgID: {" a b\t"}, HeaderMinTimestamp: {" 7 "}}, model.Causal,
			Options{Identity: "a b", MinTimestamp: 7},
		},
		"longest": {
			nats.Header{HeaderMsgID: {long}, HeaderClient: {long}}, model.Causal, Options{Identity: long, Client: long},
		},
		"not ASCII": {nats.Header{HeaderMsgID: {"é键"}}, model.Causal, Options{Identity: "é键"}},
		"age": {
			nats.Header{HeaderAge: {"120000"}, HeaderMsgID: {"id"}}, model.Linearizable,
			Options{Identity: "id", Age: 120_000},
		},
		"leading zeros": {
			nats.Header{HeaderMinTimestamp: {"007"}}, model.Causal, Options{MinTimestamp: 7},
		},
		"replica that may not exist": {nats.Header{HeaderReplica: {"r99"}}, model.Causal, Options{Replica: "r99"}},
	} {
		for range 20 { // the order of a map must not matter
			got, err := ParseOptions(c.header, c.model)
			if err != nil || got != c.want {
				t.Fatalf("%s: %+v %v, want %+v", name, got, err, c.want)
			}
		}
	}
}

func TestOptionsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		header nats.Header
		model  model.Consistency
	}{
		"empty identity":             {nats.Header{HeaderMsgID: {""}}, 1},
		"identity of blanks":         {nats.Header{HeaderMsgID: {" \t "}}, 1},
		"identity of 257":            {nats.Header{HeaderMsgID: {strings.Repeat("x", 257)}}, 1},
		"identity with NUL":          {nats.Header{HeaderMsgID: {"a\x00"}}, 1},
		"identity with a tab":        {nats.Header{HeaderMsgID: {"a\tb"}}, 1},
		"identity not UTF-8":         {nats.Header{HeaderMsgID: {"a\xff"}}, 1},
		"identity with C1":           {nats.Header{HeaderMsgID: {"a\u0085"}}, 1},
		"identity in other case":     {nats.Header{"nats-msg-ID": {""}}, 1},
		"empty client":               {nats.Header{HeaderClient: {""}}, 1},
		"client of 257":              {nats.Header{HeaderClient: {strings.Repeat("x", 257)}}, 1},
		"client not printable":       {nats.Header{HeaderClient: {"\x1b[31m"}}, 1},
		"timestamp empty":            {nats.Header{HeaderMinTimestamp: {""}}, 3},
		"timestamp a word":           {nats.Header{HeaderMinTimestamp: {"now"}}, 3},
		"timestamp negative":         {nats.Header{HeaderMinTimestamp: {"-1"}}, 3},
		"timestamp signed":           {nats.Header{HeaderMinTimestamp: {"+1"}}, 3},
		"timestamp hexadecimal":      {nats.Header{HeaderMinTimestamp: {"0x1"}}, 3},
		"timestamp underscored":      {nats.Header{HeaderMinTimestamp: {"1_0"}}, 3},
		"timestamp with a point":     {nats.Header{HeaderMinTimestamp: {"1.0"}}, 3},
		"timestamp of 65 bits":       {nats.Header{HeaderMinTimestamp: {"18446744073709551616"}}, 3},
		"position of 65 bits":        {nats.Header{HeaderMinPosition: {"18446744073709551616"}}, 2},
		"position a word":            {nats.Header{HeaderMinPosition: {"x"}}, 2},
		"age negative":               {nats.Header{HeaderAge: {"-1"}}, 1},
		"age with unit":              {nats.Header{HeaderAge: {"2s"}}, 1},
		"replica empty":              {nats.Header{HeaderReplica: {""}}, 4},
		"replica is a master":        {nats.Header{HeaderReplica: {"m1"}}, 4},
		"replica is no name":         {nats.Header{HeaderReplica: {"one"}}, 4},
		"replica 0":                  {nats.Header{HeaderReplica: {"r0"}}, 4},
		"replica with a line end":    {nats.Header{HeaderReplica: {"r1\r\n"}}, 4},
		"replica of a great name":    {nats.Header{HeaderReplica: {strings.Repeat("r", 100_000)}}, 4},
		"replica in capital letters": {nats.Header{HeaderReplica: {"R1"}}, 4},
	} {
		_, err := ParseOptions(c.header, c.model)
		var e *Error
		if !errors.As(err, &e) || e.Code != model.Malformed || !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
			continue
		}

		if strings.ContainsAny(e.Reason, "\r\n\x1b") || len(e.Reason) > 300 {
			t.Errorf("%s: reason is no short line: %q", name, e.Reason)
		}
	}
}

func TestRIDs(t *testing.T) {
	for text, rids := range map[string][]uint64{
		"": nil, "0": {0}, "7": {7}, "1,2,18446744073709551615": {1, 2, 1<<64 - 1},
	} {
		if got := string(AppendRIDs([]byte("#"), rids)); got != "#"+text {
			t.Errorf("%v: %q", rids, got)
		}
		got, err := ParseRIDs(text)
		if err != nil || string(AppendRIDs(nil, got)) != text || len(got) != len(rids) {
			t.Errorf("%q: %v %v", text, got, err)
		}
	}
	for _, text := range []string{
		",", "1,", ",1", "1,,2", "x", "1 ,2", "-1", "+1", "01", "18446744073709551616", "1;2",
		strings.Repeat(",", 100_000),
	} {
		if got, err := ParseRIDs(text); !errors.Is(err, ErrRIDs) {
			t.Errorf("%.20q: %v %v", text, got, err)
		}
	}
}
