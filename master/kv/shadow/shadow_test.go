package shadow

import (
	"bytes"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"quartet/bus/server/servertest"
	"quartet/master/kv"
)

// line is a connection to a server. On the second request for messages it calls second, and what
// the server says from then on is heard when that has returned.
type line struct {
	net.Conn
	asked  *atomic.Int32
	second func()
	once   sync.Once
}

func (l *line) Write(b []byte) (int, error) {
	l.asked.Add(int32(bytes.Count(b, []byte("CONSUMER.MSG.NEXT"))))
	return l.Conn.Write(b)
}

func (l *line) Read(b []byte) (int, error) {
	n, err := l.Conn.Read(b)
	if l.asked.Load() > 1 {
		l.once.Do(l.second)
	}
	return n, err
}

// held is how many messages the stream of a test holds: more than are asked for at once.
const held = readAt + 2000

// opened reads a full stream over a line.
func opened(t *testing.T, second func(js jetstream.JetStream, s kv.Shadow)) (got int, err error) {
	t.Helper()
	s := servertest.Start(t, &server.Options{JetStream: true, StoreDir: t.TempDir()})
	nc, err := nats.Connect(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	direct, err := New(nc, "")
	if err != nil {
		t.Fatal(err)
	}

	shadow := kv.Shadow{
		Name: "quartet_kv_b-1", Bucket: "b", Subjects: []string{"shadow.b.k.>", "shadow.b.m"}, Source: "shadow.b.k.>", Target: "$KV.b.>",
		Depth: 1, First: 1, InMemory: true,
	}
	if err := direct.Make(t.Context(), shadow); err != nil {
		t.Fatal(err)
	}
	for i := range held {
		if _, err := direct.js.PublishAsync(fmt.Sprint("shadow.b.k.", i), nil); err != nil {
			t.Fatal(err)
		}
		if i%1000 == 999 {
			<-direct.js.PublishAsyncComplete()
		}
	}

	slow := lineTo(t, s.ClientURL(), func() { second(direct.js, shadow) })
	streams, err := New(slow, "")
	if err != nil {
		t.Fatal(err)
	}
	_, err = streams.Open(t.Context(), shadow, func(kv.Stored) { got++ })
	return got, err
}

func lineTo(t *testing.T, url string, second func()) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(url, nats.SetCustomDialer(dialer(func(network, address string) (net.Conn, error) {
		c, err := net.Dial(network, address)
		return &line{Conn: c, asked: new(atomic.Int32), second: second}, err
	})))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

type dialer func(network, address string) (net.Conn, error)

func (d dialer) Dial(network, address string) (net.Conn, error) { return d(network, address) }

// A stream is read whole however slowly its messages come: what is missing would have its numbers
// given a second time.
func TestASlowReadingIsWhole(t *testing.T) {
	silence := time.NewTimer(time.Hour)
	got, err := opened(t, func(jetstream.JetStream, kv.Shadow) { // nats.go's FetchNoWait ends after 1 s, without an error
		silence.Reset(2500 * time.Millisecond)
		<-silence.C
	})
	if err != nil || got != held {
		t.Errorf("%d messages of %d: %v", got, held, err)
	}
}

// A stream that is removed while it is read is an error, soon, unless all of it had come: the
// bucket is opened again then.
func TestAStreamGoesWhileItIsRead(t *testing.T) {
	began := time.Now()
	got, err := opened(t, func(js jetstream.JetStream, s kv.Shadow) {
		if err := js.DeleteStream(t.Context(), s.Name); err != nil {
			t.Error(err)
		}
	})
	if err == nil && got != held {
		t.Errorf("%d messages of %d, and no error", got, held)
	}
	if took := time.Since(began); took > time.Minute {
		t.Errorf("it took %v", took)
	}
}
