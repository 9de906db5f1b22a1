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

// Ask asks a question that is answered in JSON, and returns the first answer that has the field,
// or an error's header. What others answer is passed over. The error is [nats.ErrNoResponders]
// where nobody listens, an [ErrPermission] where the server lets the user not ask, or not hear
// answers, or says that ctx has ended, and with [ErrOthersAnswer] that something else was heard
// until then.
func Ask(ctx context.Context, nc *nats.Conn, subject string, body []byte, field string) (*nats.Msg, error) {
	reply := nc.NewInbox()
	sub, err := nc.SubscribeSync(reply)
	if err != nil {
		return nil, err
	}
	defer func() { _ = sub.Unsubscribe() }() // fails only where the connection is closed
	asking, refused := context.WithCancelCause(ctx)
	defer refused(nil)
	defer OnRefusal(nc, func(p *PermissionError) {
		if p.Subject == subject || p.Subject == reply {
			refused(p)
		}
	})()
	if err := nc.PublishRequest(subject, reply, body); err != nil {
		return nil, err
	}

	for others := 0; ; others++ {
		m, err := sub.NextMsgWithContext(asking)
		switch cause := context.Cause(asking); {
		case err != nil && errors.Is(cause, ErrPermission):
			return nil, cause
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
