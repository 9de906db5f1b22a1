package bus_test

import (
	"testing"

	"quartet/bus"
)

func TestRedact(t *testing.T) {
	for url, want := range map[string]string{
		"":                               "",
		"nats://127.0.0.1:4222":          "nats://127.0.0.1:4222",
		"127.0.0.1:4222":                 "127.0.0.1:4222",
		"nats://u:p@h:1,nats://token@h2": "nats://***@h:1,nats://***@h2",
		"u:p@h:1":                        "***@h:1",
		"nats://u:p%zz@h:1, tls://h":     "nats://***@h:1,tls://h",
		"nats://u:p@@h:1":                "nats://***@h:1",
	} {
		if got := bus.Redact(url); got != want {
			t.Errorf("%q: %q, want %q", url, got, want)
		}
	}
}
