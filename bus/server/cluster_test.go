package server

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"quartet/bus/testkit"
)

// Who listens for routes says its name; where a process has ended nobody listens; and whoever else
// listens there, or says nothing, shows neither.
func TestNameAt(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	address, there := testkit.FreeAddress(t), testkit.FreeAddress(t)
	first := start(t, Options{Cluster: &Cluster{Name: "n1", Listen: address, Routes: []string{there}}})
	second := start(t, Options{Cluster: &Cluster{Name: "n2", Listen: there, Routes: []string{address}}})
	testkit.Eventually(t, wait, "the servers know each other", func() error {
		if n := second.Remotes(); n != 1 {
			return errors.New("they do not")
		}
		return nil
	})
	if name, err := NameAt(ctx, address); name != "n1" || err != nil {
		t.Errorf("%q, %v", name, err)
	}
	if name, err := NameAt(ctx, second.Routes()); name != "n2" || err != nil {
		t.Errorf("%q, %v", name, err)
	}

	first.Shutdown()
	if name, err := NameAt(ctx, address); name != "" || !errors.Is(err, ErrNobody) {
		t.Errorf("%q, %v", name, err)
	}

	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	go func() {
		for _, says := range []string{"INFO {\"server_name\":\"theirs\"}\r\n", "HTTP/1.1 400 no\r\n", "INFO {\r\n", ""} {
			conn, err := other.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte(says))
			if says != "" { // the last says nothing, and stays
				conn.Close()
			}
		}
	}()
	for range 4 {
		short, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
		name, err := NameAt(short, other.Addr().String())
		cancel()
		if name != "" || err == nil || errors.Is(err, ErrNobody) {
			t.Errorf("%q, %v", name, err)
		}
	}
}
