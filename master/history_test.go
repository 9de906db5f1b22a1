package master_test

import (
	"testing"

	"quartet/bus/message"
)

// F13: that a request goes on from a history which has ended is sure once every member has
// installed the record that says so: it may be lost before, and another one take its place.
func TestF13AHistoryHasEndedOnceTheRecordStands(t *testing.T) {
	cfg := configured(3, 1)
	cfg.Cluster = 7
	o := ready(t, cfg)
	o.lost(3)
	o.wedged(0, 1, 2)
	o.decide()

	ended := in("eventual get a")
	ended.Told = message.Told{History: message.History{Cluster: 7, Epoch: 1, Nonce: 99}}
	o.ask(ended)
	o.expect()
	o.installed()
	o.expect("1 #1 421")
}

// Another cluster's is refused at once.
func TestF13AnotherClustersIsRefusedAtOnce(t *testing.T) {
	cfg := configured(3, 1)
	cfg.Cluster = 7
	o := ready(t, cfg)
	other := in("eventual get a")
	other.Told = message.Told{History: message.History{Cluster: 8, Epoch: 1, Nonce: 99}}
	o.ask(other)
	o.expect("1 #1 421")
}
