package kv

import (
	"encoding/json"
	"strings"

	"github.com/nats-io/nats.go"
)

// consumer serves CONSUMER.*: the request is passed on to the server's own JetStream, which
// answers the client by itself. One that begins to read waits until the shadow holds all that was
// acknowledged.
func (b *bucket) consumer(c *call, m *nats.Msg) {
	switch {
	case !b.shadowed:
		b.f.fail(m, consumerType(c.verb), errNoShadow)
		return
	case m.Reply == "":
		return // nobody is to be told
	}

	body, start := m.Data, beginning{}
	if c.verb == "CREATE" || c.verb == "DURABLE.CREATE" {
		var fault *Error
		if body, start, fault = b.consumerConfig(c, m); fault != nil {
			b.f.fail(m, consumerType(c.verb), fault)
			return
		}
	}

	if c.verb == "DELETE" {
		b.out.cut.deleted(strings.TrimPrefix(c.rest, "."))
	}

	b.reading(start, func(stored bool) {
		if !stored {
			b.f.fail(m, consumerType(c.verb), errLoading)
			return
		}
		b.f.counts.Passed++
		subject := apiPrefix + "CONSUMER." + c.verb + "." + b.shadow().Name + c.rest
		b.f.host.Send(&nats.Msg{Subject: subject, Reply: m.Reply, Header: m.Header, Data: body})
	})
}

// consumerType is the type of the answer to a verb, as it stands in its JSON.
func consumerType(verb string) string {
	switch verb {
	case "CREATE", "DURABLE.CREATE":
		return typePrefix + "consumer_create_response"
	case "DELETE":
		return typePrefix + "consumer_delete_response"
	case "INFO":
		return typePrefix + "consumer_info_response"
	case "NAMES":
		return typePrefix + "consumer_names_response"
	case "LIST":
		return typePrefix + "consumer_list_response"
	}
	return ""
}

// consumerConfig makes the request for a consumer of the shadow of one for a consumer of the
// bucket. What it does not concern itself with goes through as it is. start is with what the
// consumer begins.
func (b *bucket) consumerConfig(c *call, m *nats.Msg) (body []byte, start beginning, fault *Error) {
	var r, config map[string]json.RawMessage
	if err := json.Unmarshal(m.Data, &r); err != nil {
		return nil, start, badJSON(err)
	}
	if err := json.Unmarshal(r["config"], &config); err != nil {
		return nil, start, badJSON(err)
	}
	var stream string
	if err := json.Unmarshal(r["stream_name"], &stream); err != nil || b.f.bucketOf(stream) != b.name {
		return nil, start, errConsumerStream
	}
	r["stream_name"] = jsonOf(b.shadow().Name)

	filters, fault := b.filters(c, config)
	if fault != nil {
		return nil, start, fault
	}
	var deliver string
	if raw, given := config["deliver_subject"]; given {
		if err := json.Unmarshal(raw, &deliver); err != nil {
			return nil, start, badJSON(err)
		}
		isFree := deliver == "" || !b.f.o.Subjects.Reserved(deliver)
		if !isFree {
			return nil, start, errDeliver
		}
	}

	var policy string
	_ = json.Unmarshal(config["deliver_policy"], &policy) // what is no word the server refuses
	if readsPast(policy) {
		start = beginning{name: nameOf(c.rest, config), filters: filters}
	}
	r["config"] = jsonOf(config)
	return jsonOf(r), start, nil
}

// filters sees that a consumer reads keys of the bucket alone, and returns the subjects that it
// reads.
func (b *bucket) filters(c *call, config map[string]json.RawMessage) ([]string, *Error) {
	var one string
	var several []string
	if raw, given := config["filter_subject"]; given {
		if err := json.Unmarshal(raw, &one); err != nil {
			return nil, badJSON(err)
		}
	}
	if raw, given := config["filter_subjects"]; given {
		if err := json.Unmarshal(raw, &several); err != nil {
			return nil, badJSON(err)
		}
	}

	all := several
	if one != "" {
		all = append(all, one)
	}
	for _, filter := range all {
		if !strings.HasPrefix(filter, subjectPrefix+b.name+".") {
			return nil, errFilter
		}
	}
	_, inSubject, _ := strings.Cut(strings.TrimPrefix(c.rest, "."), ".")
	if inSubject != "" && c.verb == "CREATE" && inSubject != one {
		return nil, errInsideFilter
	}
	if len(all) > 0 {
		return all, nil
	}
	filter := subjectPrefix + b.name + ".>"
	if strings.Count(c.rest, ".") == 1 && c.verb == "CREATE" { // the subject has the name alone: several it is
		config["filter_subjects"] = jsonOf([]string{filter})
		return []string{filter}, nil
	}
	config["filter_subject"] = jsonOf(filter)
	return []string{filter}, nil
}
