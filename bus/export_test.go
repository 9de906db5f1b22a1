package bus

import "github.com/nats-io/nats.go"

// SubscribeLimited is Subscribe with pending limits that a test can reach.
func SubscribeLimited(nc *nats.Conn, subject string, push func(*nats.Msg), messages, size int) (*Subscription, error) {
	return subscribe(nc, subject, "", push, messages, size)
}
