package masternode

import (
	"quartet/bus"
	"quartet/bus/message"
	"quartet/bus/model"
)

// watchFault says why a watch cannot be told anything, or "".
func watchFault(t *taken) string {
	switch {
	case t.batch != nil:
		return "a watch is a message of its own, and stands in no batch: its events have one reply subject"
	case t.reply == "":
		return "a watch needs a reply subject: its events go there"
	}
	return ""
}

// goesOnFrom is what a request goes on from: of a watch also the revision after which it begins.
func goesOnFrom(r *model.Request, o *bus.Options) message.Told {
	told := o.Told()
	if after, given := r.After(); given && r.Type == model.Watch && r.Model.Strong() {
		told.Position = max(told.Position, after)
	}
	return told
}

// watcher is whom a request is for, if it is a watch.
func watcher(t *taken) *message.Watcher {
	if t.request.Type != model.Watch {
		return nil
	}
	w := &message.Watcher{Reply: t.reply, Client: t.client, JSON: t.request.Encoding == bus.JSON}
	if !w.JSON { // its events are objects, one a message
		w.Fields = t.eventFields
	}
	return w
}

// isToldByItsReplica reports whether an answer is none of the master's to send: a watch that has
// begun is told by the replica that serves it.
func isToldByItsReplica(t *taken, code model.Code) bool {
	return t.request.Type == model.Watch && code == model.OK
}
