package masternode

import (
	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/model"
)

// batch is a message of several requests of which some are not answered yet. What a turn
// answers of them leaves as one message.
type batch struct {
	reply   string
	open    int         // requests without an answer
	history bus.History // the point at which what has gathered was answered; zero: nobody asked
	answers bus.AnswersWriter
}

// requests takes a message of several requests. Each is then a request like any other.
func (n *node) requests(e *event) {
	if n.notAClients(e.msg.Reply) {
		return
	}
	var err error
	if n.items, err = bus.ParseBatch(e.msg.Data, n.items); err != nil {
		n.incoming(&taken{reply: e.msg.Reply, at: e.at}, &bus.Options{}, err)
		return
	}
	client, err := bus.ParseClient(e.msg.Header)
	if err != nil {
		n.incoming(&taken{reply: e.msg.Reply, at: e.at}, &bus.Options{}, err)
		return
	}
	b := n.newBatch(e.msg.Reply, len(n.items))
	b.answers.Fields = bus.AnswerFields(e.msg.Header)
	all := make([]taken, len(n.items))
	for i := range n.items {
		item := &n.items[i]
		item.Client = client
		all[i] = taken{reply: e.msg.Reply, at: e.at, request: item.Request, batch: b, index: i}
		n.tracing.take(&all[i], nil)
		n.incoming(&all[i], &item.Options, item.Err)
	}
	clear(n.items) // they hold the message
}

func (n *node) newBatch(reply string, open int) *batch {
	if last := len(n.idle) - 1; last >= 0 {
		b := n.idle[last]
		n.idle = n.idle[:last]
		b.reply, b.open = reply, open
		return b
	}
	return &batch{reply: reply, open: open}
}

// answer adds to what the batch's sender is told at the end of the turn.
func (n *node) answer(b *batch, index int, r *bus.Reply) {
	if r.Code == model.OK && b.answers.Len() > 0 && b.answers.Len()+r.Size() > bus.BatchBytes {
		n.sendAnswers(b)
	}
	if b.answers.Len() == 0 {
		n.answered = append(n.answered, b)
	}
	b.answers.Add(index, r)
	if r.History != (bus.History{}) {
		b.history = r.History
	}
	b.open--
}

// flushAnswers sends what this turn has answered of batches.
func (n *node) flushAnswers() {
	for i, b := range n.answered {
		if b.answers.Len() > 0 {
			n.sendAnswers(b)
		}
		if b.open == 0 && len(n.idle) < mostIdle {
			b.open = -1 // once, even if it stands in answered twice
			n.idle = append(n.idle, b)
		}
		n.answered[i] = nil
	}
	n.answered = n.answered[:0]
}

// mostIdle bounds the batches whose memory is kept for later ones.
const mostIdle = 64

func (n *node) sendAnswers(b *batch) {
	body, rids := b.answers.Take()
	n.ridText = bus.AppendRIDs(n.ridText[:0], rids)
	n.ridHeader[bus.HeaderRequestID][0] = string(n.ridText)
	delete(n.ridHeader, bus.HeaderHistory)
	if b.history != (bus.History{}) {
		n.ridHeader[bus.HeaderHistory] = []string{n.historyWord(b.history)}
		b.history = bus.History{}
	}
	if err := n.clients.PublishMsg(&nats.Msg{Subject: b.reply, Header: n.ridHeader, Data: body}); err != nil {
		n.noteSend(err)
	}
}

// historyWord is a history's word. Nearly all are the same, so the last is kept.
func (n *node) historyWord(h bus.History) string {
	if h != n.history {
		n.history, n.word = h, bus.HistoryWord(h)
	}
	return n.word
}
