package bus

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"quartet/bus/lamport"
	"quartet/bus/model"
)

// Tokens are kept by programs and scripts for as long as they like: what was given out once
// is read by every later version.
var sessionTokens = map[string]Session{
	"AQAA_oOzJQ":                         {},
	"AQwAUjb8KQ":                         {Position: 12},
	"AQAHYOcmhg":                         {Timestamp: 7},
	"AYCAgICAIKwCvKGpnQ":                 {Position: 1 << 40, Timestamp: 300},
	"Af___________wH___________8BfEw8WQ": {Position: 1<<64 - 1, Timestamp: 1<<64 - 1},

	"AsGMGY34dpF9AAAAAFyhqx4DrAJNfA64lA": {
		History: History{Cluster: 0xc18c198df876917d, Epoch: 3, Nonce: 0x5ca1ab1e}, Position: 300, Timestamp: 77,
	},
	"Av________________________________8B____________Af___________wHjQrGp": {
		History: History{Cluster: 1<<64 - 1, Epoch: 1<<64 - 1, Nonce: 1<<64 - 1}, Position: 1<<64 - 1,
		Timestamp: 1<<64 - 1,
	},
}

func TestSessionTokens(t *testing.T) {
	for token, want := range sessionTokens {
		if got := want.Token(); got != token {
			t.Errorf("%+v: token %s, want %s", want, got, token)
		}
		if got, err := ParseSession(token); err != nil || got != want {
			t.Errorf("%s: %+v %v, want %+v", token, got, err, want)
		}
		if len(token) > MaxSession*3/4 {
			t.Errorf("%s: %d bytes, which leaves later versions little room", token, len(token))
		}
	}
	if s, err := ParseSession(NewSession); err != nil || s != (Session{}) {
		t.Errorf("%s: %+v %v", NewSession, s, err)
	}
}

// signed makes a token of any bytes, with the right sum.
func signed(b ...byte) string {
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	return base64.RawURLEncoding.EncodeToString(b)
}

func TestSessionTokensRefused(t *testing.T) {
	good := Session{Position: 300, Timestamp: 77}.Token()
	bad := map[string]string{
		"empty": "", "of a later version": signed(3, 1, 1), "of version 2, and cut short": signed(2, 1, 1),
		"of version 0": signed(0, 1, 1), "with a field more": signed(1, 1, 1, 1), "with a field less": signed(1, 1),
		"with a number too long":             signed(1, 0x81, 0, 1),
		"with a number of more than 64 bits": signed(1, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2, 1),
		"a wrong sum":                        "AQEBAAAAAA", "of nothing": signed(), "of a version alone": signed(1),
		"padded": good + "=", "with a line end in it": good[:4] + "\n" + good[4:],
		"of 129 bytes": strings.Repeat("A", MaxSession+1), "of a great size": strings.Repeat("A", 1<<20),
		"in base64": "AQ+/" + good[4:], "not ASCII": "Ä" + good, "a word": "hello", "the word in capitals": "NEW",
		"twice": good + good, "no base64": "a b",
	}

	for i := range good {
		bad["cut at "+good[:i]] = good[:i]
		wrong := []byte(good)
		if wrong[i] = 'x'; good[i] == 'x' {
			wrong[i] = 'y'
		}
		bad["mistyped: "+string(wrong)] = string(wrong)
	}

	for name, token := range bad {
		s, err := ParseSession(token)
		if err == nil || s != (Session{}) {
			t.Errorf("%s: %q is read as %+v", name, token, s)
			continue
		}
		checkRefusal(t, err)
		if name == "empty" {
			continue
		}

		for _, c := range model.All { // whatever the model, it is refused and not passed over
			o, err := ParseOptions(nats.Header{HeaderSession: {token}}, c)
			refused := errors.Is(err, ErrMalformed) && !o.InSession && strings.Contains(err.Error(), HeaderSession)
			trimmed := strings.Trim(token, " \t") // as a header's value is
			if trimmed == token && !refused {
				t.Errorf("%s, %s: %+v %v", name, c, o, err)
			}
		}
	}

	// A variable that a script never set is no session, and not none either.
	for _, empty := range []string{"", " "} {
		if _, err := ParseOptions(nats.Header{HeaderSession: {empty}}, 1); !errors.Is(err, ErrMalformed) {
			t.Errorf("empty header: %v", err)
		}
	}
	if _, err := ParseClient(nats.Header{HeaderSession: {good}}); !errors.Is(err, ErrMalformed) {
		t.Errorf("a batch in a session: %v", err)
	}
}

// The minimum that a token brings is that of the request's model; the greater one counts.
func TestSessionOfARequest(t *testing.T) {
	token := Session{Position: 300, Timestamp: 77}.Token()
	for _, c := range []struct {
		header              nats.Header
		model               model.Consistency
		timestamp, position uint64
	}{
		{nats.Header{HeaderSession: {token}}, model.Linearizable, 0, 0},
		{nats.Header{HeaderSession: {token}}, model.Sequential, 0, 300},
		{nats.Header{"quartet-session": {" " + token + "\t"}}, model.Causal, 77, 0},
		{nats.Header{HeaderSession: {token, "x"}}, model.Eventual, 0, 0},
		{nats.Header{HeaderSession: {token}, HeaderMinPosition: {"301"}}, model.Sequential, 0, 301},
		{nats.Header{HeaderSession: {token}, HeaderMinTimestamp: {"76"}}, model.Causal, 77, 0},
		{nats.Header{HeaderSession: {NewSession}, HeaderMinTimestamp: {"76"}}, model.Causal, 76, 0},
	} {
		o, err := ParseOptions(c.header, c.model)
		if err != nil || !o.InSession || o.MinTimestamp != c.timestamp || o.MinPosition != c.position {
			t.Errorf("%v: %+v %v", c.header, o, err)
		}
	}
}

func TestSessionSees(t *testing.T) {
	s := Session{Position: 10, Timestamp: 20}
	for _, c := range []struct {
		reply Reply
		want  Session
	}{
		{Reply{}, s},
		{Reply{Answer: model.Answer{Position: 99}}, s}, // without HasPosition it is none
		{Reply{Answer: model.Answer{Position: 11, HasPosition: true}}, Session{Position: 11, Timestamp: 20}},
		{Reply{Answer: model.Answer{Position: 9, HasPosition: true, Timestamp: 21}}, Session{Position: 10, Timestamp: 21}},
		// a FAIL says what it saw
		{
			Reply{Answer: model.Answer{Code: model.TooEarly, Position: 12, HasPosition: true}},
			Session{Position: 12, Timestamp: 20},
		},
		{Reply{Answer: model.Answer{Timestamp: 19}}, s},
	} {
		if got := s.Seen(&c.reply, History{}); got != c.want {
			t.Errorf("%+v: %+v, want %+v", c.reply, got, c.want)
		}
	}
	if got := s.Join(Session{Position: 1, Timestamp: 30}); got != (Session{Position: 10, Timestamp: 30}) {
		t.Errorf("joined %+v", got)
	}
}

// A session names the point at which it was told last. One that came without a history, from
// an older quartet, names none until a reply shows that it asks for nothing that is not here.
func TestSessionNamesItsHistory(t *testing.T) {
	at := func(epoch uint64) History { return History{Cluster: 1, Epoch: epoch, Nonce: 10 * epoch} }
	for name, c := range map[string]struct {
		before Session
		reply  Reply
		now    History
		want   History
	}{
		"new":                {Session{}, Reply{}, at(3), at(3)},
		"later":              {Session{History: at(2), Position: 5}, Reply{}, at(3), at(3)},
		"of an older master": {Session{History: at(4), Position: 5}, Reply{}, at(3), at(4)},
		"nobody says":        {Session{History: at(4)}, Reply{}, History{}, at(4)},
		"old, and behind":    {Session{Position: 5}, Reply{Answer: model.Answer{Position: 5, HasPosition: true}}, at(3), at(3)},
		"old, and ahead": {
			Session{Position: 5}, Reply{Answer: model.Answer{Position: 4, HasPosition: true}}, at(3), History{},
		},
		"old, and nothing is shown": {
			Session{Timestamp: 5}, Reply{Answer: model.Answer{Position: 9, HasPosition: true}}, at(3), History{},
		},
		"old, and its timestamp shown": {Session{Timestamp: 5}, Reply{Answer: model.Answer{Timestamp: 6}}, at(3), at(3)},
	} {
		if got := c.before.Seen(&c.reply, c.now).History; got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

func TestHistoryWords(t *testing.T) {
	for word, want := range map[string]History{
		"AcGMGY34dpF9AAAAAFyhqx4DFfY7Tg":             {Cluster: 0xc18c198df876917d, Epoch: 3, Nonce: 0x5ca1ab1e},
		"Af________________________________8Bc_j0mw": {Cluster: 1<<64 - 1, Epoch: 1<<64 - 1, Nonce: 1<<64 - 1},
	} {
		if got := HistoryWord(want); got != word {
			t.Errorf("%+v: %s, want %s", want, got, word)
		}
		if got, err := ParseHistory(word); err != nil || got != want {
			t.Errorf("%s: %+v %v", word, got, err)
		}

		for i := range word {
			wrong := []byte(word)
			if wrong[i] = 'x'; word[i] == 'x' {
				wrong[i] = 'y'
			}
			for _, bad := range []string{word[:i], string(wrong)} {
				if got, err := ParseHistory(bad); !errors.Is(err, ErrMalformed) || got != (History{}) {
					t.Errorf("%s is read as %+v", bad, got)
				}
			}
		}

		o, err := ParseOptions(nats.Header{HeaderHistory: {word}, HeaderMinPosition: {"7"}}, model.Sequential)
		if told := o.Told(); err != nil || !o.AsksHistory || told.History != want || told.Position != 7 {
			t.Errorf("%s as a header: %+v %v", word, o, err)
		}
	}

	if h, err := ParseHistory(NewSession); err != nil || h != (History{}) || HistoryWord(h) != "" {
		t.Errorf("%s: %+v %v", NewSession, h, err)
	}
	both := nats.Header{HeaderHistory: {NewSession}, HeaderSession: {NewSession}}
	if _, err := ParseOptions(both, model.Causal); !errors.Is(err, ErrMalformed) {
		t.Errorf("a token and a history: %v", err)
	}
	if _, err := ParseClient(nats.Header{HeaderHistory: {NewSession}}); !errors.Is(err, ErrMalformed) {
		t.Errorf("the history of a batch: %v", err)
	}
}

// A reply brings the session's token as it is, of whatever version.
func TestSessionOfAReply(t *testing.T) {
	for _, token := range []string{"", Session{Position: 12}.Token(), signed(9, 1, 2, 3), strings.Repeat("A", MaxSession)} {
		r := Reply{
			Answer: model.Answer{
				RID: 1, Code: model.NotFound, Reason: "none", Clock: lamport.Timestamp{Time: 2, Node: 3}, Replica: 3,
				Timestamp: 4, Position: 5, HasPosition: true,
			},
			Model: 2, Type: 2, Session: token,
		}
		m := r.Msg("to")
		if _, found := m.Header[HeaderSession]; found != (token != "") {
			t.Errorf("%q: headers %v", token, m.Header)
		}
		if back, err := ParseReply(m); err != nil || back.Session != token {
			t.Errorf("%q: read back %q, %v", token, back.Session, err)
		}
	}
	for _, token := range []string{"", "a\x00", strings.Repeat("A", MaxSession+1)} {
		m := (&Reply{Answer: model.Answer{RID: 1, Code: model.OK, Clock: lamport.Timestamp{Time: 2, Node: 3}}}).Msg("to")
		m.Header[HeaderSession] = []string{token}
		if r, err := ParseReply(m); !errors.Is(err, ErrReply) {
			t.Errorf("%q: read as %+v, %v", token, r, err)
		}
	}
}

// Whatever is accepted is the one token of what it says; nothing else is taken for one.
func FuzzParseSession(f *testing.F) {
	for token := range sessionTokens {
		f.Add(token)
	}
	for _, seed := range []string{"", NewSession, "hello", signed(2, 1, 1), signed(1, 0x81, 0, 1), "AQAA\n", strings.Repeat("A", 200)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		s, err := ParseSession(token)
		switch {
		case err != nil:
			checkRefusal(t, err)
		case token == NewSession && s == Session{}:
		case s.Token() != token || len(token) > MaxSession:
			t.Fatalf("%q is read as %+v, whose token is %q", token, s, s.Token())
		}
	})
}
