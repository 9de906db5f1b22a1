package kv

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"
	"unicode/utf8"

	"quartet/bus/model"
)

// Config is a bucket's configuration, as clients send and read it: that of a JetStream stream.
// Times are nanoseconds. What quartet cannot do stands in it only to be refused by name.
type Config struct {
	Name           string            `json:"name"`
	Description    string            `json:"description,omitempty"`
	Subjects       []string          `json:"subjects,omitempty"`
	Retention      string            `json:"retention"`
	MaxConsumers   int               `json:"max_consumers"`
	MaxMsgs        int64             `json:"max_msgs"`
	MaxBytes       int64             `json:"max_bytes"`
	MaxAge         int64             `json:"max_age"`
	History        int64             `json:"max_msgs_per_subject"`
	MaxMsgSize     int64             `json:"max_msg_size"`
	Discard        string            `json:"discard"`
	Storage        string            `json:"storage"`
	Replicas       int               `json:"num_replicas"`
	Duplicates     int64             `json:"duplicate_window,omitempty"`
	Compression    string            `json:"compression"`
	AllowDirect    bool              `json:"allow_direct"`
	MirrorDirect   bool              `json:"mirror_direct"`
	Sealed         bool              `json:"sealed"`
	DenyDelete     bool              `json:"deny_delete"`
	DenyPurge      bool              `json:"deny_purge"`
	AllowRollup    bool              `json:"allow_rollup_hdrs"`
	ConsumerLimits json.RawMessage   `json:"consumer_limits,omitempty"`
	AllowMsgTTL    bool              `json:"allow_msg_ttl"`
	MarkerTTL      int64             `json:"subject_delete_marker_ttl,omitempty"`
	Metadata       map[string]string `json:"metadata,omitempty"`
	NoAck          bool              `json:"no_ack,omitempty"`
	Template       string            `json:"template_owner,omitempty"`
	Placement      json.RawMessage   `json:"placement,omitempty"`
	Mirror         json.RawMessage   `json:"mirror,omitempty"`
	Sources        json.RawMessage   `json:"sources,omitempty"`
	FirstSeq       uint64            `json:"first_seq,omitempty"`
	Transform      json.RawMessage   `json:"subject_transform,omitempty"`
	Republish      json.RawMessage   `json:"republish,omitempty"`
	DiscardNewPer  bool              `json:"discard_new_per_subject,omitempty"`
	AllowAtomic    bool              `json:"allow_atomic,omitempty"`
	AllowCounter   bool              `json:"allow_msg_counter,omitempty"`
	AllowSchedules bool              `json:"allow_msg_schedules,omitempty"`
	AllowBatched   bool              `json:"allow_batched,omitempty"`
	PersistMode    string            `json:"persist_mode,omitempty"`
}

// request is what a creation or an update says beside the configuration.
type request struct {
	Config
	Pedantic *bool `json:"pedantic,omitempty"`
}

// Bounds of a bucket's options. Times are nanoseconds.
const (
	leastAge     = int64(model.MinTTL) * int64(time.Millisecond)
	mostAge      = int64(model.MaxTTL) * int64(time.Millisecond)
	leastMarker  = int64(time.Second)
	duplicates   = int64(2 * time.Minute)
	maxReplicas  = 5
	maxMetadata  = 128 << 10 // bytes
	maxDescribed = 4 << 10   // bytes of a description
)

// parseConfig reads the configuration of a bucket that is to be made or changed.
func parseConfig(bucket string, body []byte) (*Config, *Error) {
	var r request
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return nil, badJSON(err)
	}
	if d.More() {
		return nil, badJSON(fmt.Errorf("something stands after the object"))
	}

	c := &r.Config
	c.fill()
	if c.Name != streamPrefix+bucket {
		return nil, errName
	}
	if !isBucket(bucket) {
		return nil, &Error{400, numberBadConfig, "a bucket's name is letters, digits, - and _, at most 200 of them"}
	}
	if err := c.check(bucket); err != nil {
		return nil, err
	}
	return c, nil
}

// fill puts defaults, as the server does, where an option was left out.
func (c *Config) fill() {
	for _, option := range []*int64{&c.MaxMsgs, &c.MaxBytes, &c.MaxMsgSize} {
		if *option == 0 {
			*option = -1
		}
	}

	if c.MaxConsumers == 0 {
		c.MaxConsumers = -1
	}
	if c.Duplicates == 0 {
		c.Duplicates = duplicates
		if c.MaxAge > 0 {
			c.Duplicates = min(c.Duplicates, c.MaxAge)
		}
	}

	c.Replicas = max(c.Replicas, 1)
	if c.MarkerTTL > 0 {
		c.AllowMsgTTL = true
	}
	if isNothing(c.ConsumerLimits) {
		c.ConsumerLimits = json.RawMessage("{}")
	}

	for option, usual := range map[*string]string{
		&c.Retention: "limits", &c.Storage: "file", &c.Discard: "old", &c.Compression: "none",
	} {
		if *option == "" {
			*option = usual
		}
	}
}

// isNothing reports whether an option says nothing: it is left out, null, or empty.
func isNothing(raw json.RawMessage) bool {
	switch strings.TrimSpace(string(raw)) {
	case "", "null", "{}", "[]":
		return true
	}
	return false
}

// check refuses what quartet cannot do, by name.
func (c *Config) check(bucket string) *Error {
	for _, o := range []struct {
		name  string
		wrong bool
		why   string
	}{
		{"mirror", !isNothing(c.Mirror), "a bucket is the cluster's own keys"},
		{"sources", !isNothing(c.Sources), "a bucket is the cluster's own keys"},
		{"republish", !isNothing(c.Republish), "quartet master --publish-changes publishes the changes of all keys"},
		{"placement", !isNothing(c.Placement), "values are where the cluster's replicas are"},
		{"subject_transform", !isNothing(c.Transform), "keys are as they are written"},
		{"subjects", c.foreign(bucket), "want " + subjectPrefix + bucket + ".>"},
		{"consumer_limits", !isNothing(c.ConsumerLimits), "leave it out"},
		{"retention", c.Retention != "limits", "a value stays until it is deleted or ends: want limits"},
		{"max_consumers", c.MaxConsumers > 0, "watches are not limited by bucket"},
		{"max_msgs", c.MaxMsgs > 0, "keys are not counted: limit max_bytes"},
		{"discard", c.drops(), "values are never dropped for new ones: want new, beside max_bytes"},
		{"storage", c.Storage != "file" && c.Storage != "memory", "want file or memory"},
		{"compression", c.Compression != "none", "want none"},
		{"num_replicas", c.Replicas > maxReplicas, "want 1 to 5; how many there are is the cluster's to say"},
		{"duplicate_window", c.Duplicates > duplicates, "ids are remembered for two minutes at the least"},
		{"sealed", c.Sealed, "a bucket can be written to"},
		{"deny_purge", c.DenyPurge, "keys can be purged"},
		{"no_ack", c.NoAck, "every write is answered"},
		{"template_owner", c.Template != "", "there are no templates"},
		{"first_seq", c.FirstSeq > 1, "the facade numbers by itself"},
		{"discard_new_per_subject", c.DiscardNewPer, "a key always takes a new value"},
		{"allow_atomic", c.AllowAtomic, "use a txn of quartet's own requests"},
		{"allow_msg_counter", c.AllowCounter, "use an add of quartet's own requests"},
		{"allow_msg_schedules", c.AllowSchedules, "nothing is written later"},
		{"allow_batched", c.AllowBatched, "use a txn of quartet's own requests"},
		{"persist_mode", c.PersistMode != "" && c.PersistMode != "default", "how writes are kept is the cluster's to say (--sync)"},

		{"max_msgs_per_subject", c.History < 1 || c.History > maxShown, "a history is 1 to 64 values"},
		{"max_age", isOutside(c.MaxAge, leastAge, mostAge), "want 0, or 1 s to 10 years"},
		{"subject_delete_marker_ttl", isOutside(c.MarkerTTL, leastMarker, mostAge), "want 0, or at least 1 s"},
		{"description", len(c.Description) > maxDescribed || !utf8.ValidString(c.Description), "at most 4 KiB of UTF-8"},
		{"metadata", c.metadataSize() > maxMetadata, "at most 128 KiB"},
	} {
		if o.wrong {
			return refusal(o.name, o.why)
		}
	}
	return nil
}

// isOutside reports whether a time is given and not within bounds.
func isOutside(t, least, most int64) bool {
	if t == 0 {
		return false
	}
	return t < least || t > most
}

// foreign reports whether the configuration names other subjects than those of its bucket.
func (c *Config) foreign(bucket string) bool {
	return len(c.Subjects) != 1 || c.Subjects[0] != subjectPrefix+bucket+".>"
}

// drops reports whether a full bucket would drop old values for new ones.
func (c *Config) drops() bool {
	isOther := c.Discard != "new"
	isUnknown := isOther && c.Discard != "old"
	isLimited := c.MaxBytes > 0
	dropsOld := isOther && isLimited
	return isUnknown || dropsOld
}

func (c *Config) metadataSize() int {
	n := 0
	for key, value := range c.Metadata {
		n += len(key) + len(value)
	}
	return n
}

// equal reports whether two configurations say the same.
func (c *Config) equal(other *Config) bool {
	a, b := *c, *other
	if len(a.Metadata) == 0 && len(b.Metadata) == 0 {
		a.Metadata, b.Metadata = nil, nil
	}
	return reflect.DeepEqual(a, b)
}

// changeable refuses a change that JetStream refuses, too.
func (c *Config) changeable(next *Config) *Error {
	switch {
	case c.Storage != next.Storage:
		return &Error{500, numberBadConfig, "stream configuration update can not change storage type"}
	case c.AllowMsgTTL && !next.AllowMsgTTL:
		return &Error{500, numberBadConfig, "stream configuration update can not disable per-message TTL"}
	}
	return nil
}

// lifetime is the time after which a value of the bucket ends, in milliseconds; 0: it has none.
// own is what the value's writer said; 0: nothing.
func (c *Config) lifetime(own uint64) uint64 {
	age := uint64(c.MaxAge) / uint64(time.Millisecond)
	switch {
	case age == 0:
		return own
	case own == 0:
		return age
	}
	return min(age, own)
}
