package bus

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
)

// ErrOthersAnswer is wrapped, beside that of the context, by an error of [Ask] when answers
// came and none was a master's.
var ErrOthersAnswer = errors.New("what answers on this subject is no master of quartet: `quartet doctor` says who listens there")

// Ask asks a question that is answered in JSON, and returns the first answer that has the
// field, or an error's header. What others answer is passed over. The error is
// [nats.ErrNoResponders] where nobody listens, or says that ctx has ended, and with
// [ErrOthersAnswer] that something else was heard until then.
func Ask(ctx context.Context, nc *nats.Conn, subject string, body []byte, field string) (*nats.Msg, error) {
	reply := nc.NewInbox()
	sub, err := nc.SubscribeSync(reply)
	if err != nil {
		return nil, err
	}
	defer func() { _ = sub.Unsubscribe() }() // fails only where the connection is closed
	if err := nc.PublishRequest(subject, reply, body); err != nil {
		return nil, err
	}
	for others := 0; ; others++ {
		m, err := sub.NextMsgWithContext(ctx)
		switch {
		case err != nil && others > 0:
			return nil, fmt.Errorf("%w (answers: %d): %w", ErrOthersAnswer, others, err)
		case err != nil:
			return nil, err
		case noResponders(m):
			return nil, nats.ErrNoResponders
		case IsAnswer(m, field), m.Header.Get(HeaderError) != "":
			return m, nil
		}
	}
}
