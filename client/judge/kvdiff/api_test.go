package kvdiff_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// api is one of the two Go packages for key-value, as far as both can.
type api interface {
	open(ctx context.Context, name string) (bucket, error)
	make(ctx context.Context, c config) (bucket, error)
	update(ctx context.Context, c config) (bucket, error)
	makeOrUpdate(ctx context.Context, c config) (bucket, error)
	remove(ctx context.Context, name string) error
	names(ctx context.Context) ([]string, error)
	statuses(ctx context.Context) ([]status, error)
}

// bucket is a handle on a bucket.
type bucket interface {
	put(ctx context.Context, key, value string) (uint64, error)
	create(ctx context.Context, key, value string, ttl time.Duration) (uint64, error)
	update(ctx context.Context, key, value string, revision uint64) (uint64, error)
	remove(ctx context.Context, key string, o removal) error
	get(ctx context.Context, key string) (entry, error)
	getRevision(ctx context.Context, key string, revision uint64) (entry, error)
	history(ctx context.Context, key string) ([]entry, error)
	keys(ctx context.Context) ([]string, error)
	listKeys(ctx context.Context, filters []string) ([]string, error)
	watch(ctx context.Context, filters []string, o watching) (*watch, error)
	purgeDeletes(ctx context.Context, olderThan time.Duration) error
	status(ctx context.Context) (status, error)
}

// errNotInLegacy is what the legacy package has no function for. A program says the same on both
// sides.
var errNotInLegacy = errors.New("the legacy package cannot")

// config is a bucket's configuration.
type config struct {
	Bucket       string
	History      uint8             `json:",omitempty"`
	TTL          time.Duration     `json:",omitempty"`
	MarkerTTL    time.Duration     `json:",omitempty"`
	MaxValueSize int32             `json:",omitempty"`
	MaxBytes     int64             `json:",omitempty"`
	Description  string            `json:",omitempty"`
	Metadata     map[string]string `json:",omitempty"`
	Memory       bool              `json:",omitempty"`
	Compression  bool              `json:",omitempty"`
	Mirror       string            `json:",omitempty"`
	Source       string            `json:",omitempty"`
	Republish    bool              `json:",omitempty"`
	Placement    string            `json:",omitempty"`
}

func (c config) storage() jetstream.StorageType {
	if c.Memory {
		return jetstream.MemoryStorage
	}
	return jetstream.FileStorage
}

// removal is how a key is deleted.
type removal struct {
	Purge    bool          `json:",omitempty"`
	Revision uint64        `json:",omitempty"` // of the condition; 0: none
	TTL      time.Duration `json:",omitempty"` // of the marker
}

// watching is the options of a watch.
type watching struct {
	History, UpdatesOnly, MetaOnly, IgnoreDeletes bool

	From uint64 `json:",omitempty"` // revision to resume from; 0: none
}

// entry is what both packages tell of a key.
type entry struct {
	key, value, op  string
	revision, delta uint64
	created         time.Time
}

// told is an entry of either package.
type told[Op fmt.Stringer] interface {
	Key() string
	Value() []byte
	Revision() uint64
	Created() time.Time
	Delta() uint64
	Operation() Op
}

func entryOf[Op fmt.Stringer](e told[Op]) entry {
	return entry{
		key: e.Key(), value: string(e.Value()), op: e.Operation().String(),
		revision: e.Revision(), delta: e.Delta(), created: e.Created(),
	}
}

// status is what is told of a bucket.
type status struct {
	bucket  string
	values  uint64
	history int64
	ttl     time.Duration
	config  config
}

func (s status) String() string {
	return fmt.Sprintf("%s values=%d %s", s.bucket, s.values, said(s.config))
}

// watch is a watch of either package.
type watch struct {
	updates func(ctx context.Context) (e entry, initial bool, err error) // initial: all that was there has come
	stop    func() error
}

// errClosed is what a watch says that has ended.
var errClosed = errors.New("the watch has ended")

// updatesOf reads the channel of a watch of either package.
func updatesOf[E told[Op], Op fmt.Stringer](c <-chan E, none func(E) bool) func(context.Context) (entry, bool, error) {
	return func(ctx context.Context) (entry, bool, error) {
		select {
		case e, open := <-c:
			if !open {
				return entry{}, false, errClosed
			}
			if none(e) {
				return entry{}, true, nil
			}
			return entryOf[Op](e), false, nil
		case <-ctx.Done():
			return entry{}, false, context.Cause(ctx)
		}
	}
}

// drained reads a lister's channel to its end.
func drained[T any](ctx context.Context, c <-chan T) ([]T, error) {
	all := []T{}
	for {
		select {
		case v, open := <-c:
			if !open {
				return all, nil
			}
			all = append(all, v)
		case <-ctx.Done():
			return all, context.Cause(ctx)
		}
	}
}

// modern is the package jetstream.
type modern struct{ js jetstream.JetStream }

// config is a bucket's configuration as this API has it.
func (m modern) config(c config) jetstream.KeyValueConfig {
	k := jetstream.KeyValueConfig{
		Bucket: c.Bucket, History: c.History, TTL: c.TTL, LimitMarkerTTL: c.MarkerTTL, MaxValueSize: c.MaxValueSize,
		MaxBytes: c.MaxBytes, Description: c.Description, Metadata: c.Metadata, Storage: c.storage(), Compression: c.Compression,
	}
	if c.Mirror != "" {
		k.Mirror = &jetstream.StreamSource{Name: c.Mirror}
	}
	if c.Source != "" {
		k.Sources = []*jetstream.StreamSource{{Name: c.Source}}
	}
	if c.Republish {
		k.RePublish = &jetstream.RePublish{Source: "$KV." + c.Bucket + ".>", Destination: "copy.>"}
	}
	if c.Placement != "" {
		k.Placement = &jetstream.Placement{Cluster: c.Placement}
	}
	return k
}

func (m modern) open(ctx context.Context, name string) (bucket, error) {
	kv, err := m.js.KeyValue(ctx, name)
	return modernBucket{kv}, err
}

func (m modern) make(ctx context.Context, c config) (bucket, error) {
	kv, err := m.js.CreateKeyValue(ctx, m.config(c))
	return modernBucket{kv}, err
}

func (m modern) update(ctx context.Context, c config) (bucket, error) {
	kv, err := m.js.UpdateKeyValue(ctx, m.config(c))
	return modernBucket{kv}, err
}

func (m modern) makeOrUpdate(ctx context.Context, c config) (bucket, error) {
	kv, err := m.js.CreateOrUpdateKeyValue(ctx, m.config(c))
	return modernBucket{kv}, err
}

func (m modern) remove(ctx context.Context, name string) error { return m.js.DeleteKeyValue(ctx, name) }

func (m modern) names(ctx context.Context) ([]string, error) {
	l := m.js.KeyValueStoreNames(ctx)
	all, err := drained(ctx, l.Name())
	return all, errors.Join(err, l.Error())
}

func (m modern) statuses(ctx context.Context) ([]status, error) {
	l := m.js.KeyValueStores(ctx)
	all, err := drained(ctx, l.Status())
	var list []status
	for _, s := range all {
		list = append(list, modernStatus(s))
	}
	return list, errors.Join(err, l.Error())
}

// modernStatus is a bucket's status as both sides are compared by it.
func modernStatus(s jetstream.KeyValueStatus) status {
	c := s.Config()
	meta := map[string]string{}
	for name, value := range s.Metadata() {
		if len(name) < 6 || name[:6] != "_nats." { // the server's own
			meta[name] = value
		}
	}
	if len(meta) == 0 {
		meta = nil
	}

	return status{s.Bucket(), s.Values(), s.History(), s.TTL(), config{
		Bucket: c.Bucket, History: c.History, TTL: c.TTL, MarkerTTL: s.LimitMarkerTTL(), MaxValueSize: c.MaxValueSize,
		MaxBytes: c.MaxBytes, Description: c.Description, Metadata: meta, Memory: c.Storage == jetstream.MemoryStorage,
		Compression: s.IsCompressed(),
	}}
}

// modernBucket is a bucket of package jetstream.
type modernBucket struct{ kv jetstream.KeyValue }

func (b modernBucket) put(ctx context.Context, key, value string) (uint64, error) {
	if len(value)%2 == 0 { // both ways of putting
		return b.kv.PutString(ctx, key, value)
	}
	return b.kv.Put(ctx, key, []byte(value))
}

func (b modernBucket) create(ctx context.Context, key, value string, ttl time.Duration) (uint64, error) {
	if ttl == 0 {
		return b.kv.Create(ctx, key, []byte(value))
	}
	return b.kv.Create(ctx, key, []byte(value), jetstream.KeyTTL(ttl))
}

func (b modernBucket) update(ctx context.Context, key, value string, revision uint64) (uint64, error) {
	return b.kv.Update(ctx, key, []byte(value), revision)
}

// remove deletes or purges a key, on condition of a revision where one is given.
func (b modernBucket) remove(ctx context.Context, key string, o removal) error {
	var opts []jetstream.KVDeleteOpt
	if o.Revision != 0 {
		opts = append(opts, jetstream.LastRevision(o.Revision))
	}
	if o.TTL != 0 {
		opts = append(opts, jetstream.PurgeTTL(o.TTL))
	}
	if o.Purge {
		return b.kv.Purge(ctx, key, opts...)
	}
	return b.kv.Delete(ctx, key, opts...)
}

func (b modernBucket) get(ctx context.Context, key string) (entry, error) {
	e, err := b.kv.Get(ctx, key)
	if err != nil {
		return entry{}, err
	}
	return entryOf(e), nil
}

func (b modernBucket) getRevision(ctx context.Context, key string, revision uint64) (entry, error) {
	e, err := b.kv.GetRevision(ctx, key, revision)
	if err != nil {
		return entry{}, err
	}
	return entryOf(e), nil
}

func (b modernBucket) history(ctx context.Context, key string) ([]entry, error) {
	list, err := b.kv.History(ctx, key)
	var all []entry
	for _, e := range list {
		all = append(all, entryOf(e))
	}
	return all, err
}

func (b modernBucket) keys(ctx context.Context) ([]string, error) { return b.kv.Keys(ctx) }

// listKeys lists the keys that match one of the filters, or all.
func (b modernBucket) listKeys(ctx context.Context, filters []string) ([]string, error) {
	var l jetstream.KeyLister
	var err error
	if len(filters) == 0 {
		l, err = b.kv.ListKeys(ctx)
	} else {
		l, err = b.kv.ListKeysFiltered(ctx, slices.Clone(filters)...) // it writes to its argument
	}
	if err != nil {
		return nil, err
	}
	return drained(ctx, l.Keys())
}

// watch begins a watch by the call that clients use for so many filters.
func (b modernBucket) watch(ctx context.Context, filters []string, o watching) (*watch, error) {
	var opts []jetstream.WatchOpt
	for _, opt := range []struct {
		is  bool
		opt jetstream.WatchOpt
	}{
		{o.History, jetstream.IncludeHistory()}, {o.UpdatesOnly, jetstream.UpdatesOnly()}, {o.MetaOnly, jetstream.MetaOnly()},
		{o.IgnoreDeletes, jetstream.IgnoreDeletes()}, {o.From > 0, jetstream.ResumeFromRevision(o.From)},
	} {
		if opt.is {
			opts = append(opts, opt.opt)
		}
	}

	var w jetstream.KeyWatcher
	var err error
	switch len(filters) {
	case 0:
		w, err = b.kv.WatchAll(ctx, opts...)
	case 1:
		w, err = b.kv.Watch(ctx, filters[0], opts...)
	default:
		w, err = b.kv.WatchFiltered(ctx, slices.Clone(filters), opts...) // it writes to its argument
	}
	if err != nil {
		return nil, err
	}
	updates := updatesOf(w.Updates(), func(e jetstream.KeyValueEntry) bool { return e == nil })
	return &watch{updates, w.Stop}, nil
}

func (b modernBucket) purgeDeletes(ctx context.Context, olderThan time.Duration) error {
	return b.kv.PurgeDeletes(ctx, jetstream.DeleteMarkersOlderThan(olderThan))
}

func (b modernBucket) status(ctx context.Context) (status, error) {
	s, err := b.kv.Status(ctx)
	if err != nil {
		return status{}, err
	}
	return modernStatus(s), nil
}

// old is the package nats.
type old struct{ js nats.JetStreamContext }

func (o old) open(_ context.Context, name string) (bucket, error) {
	kv, err := o.js.KeyValue(name)
	return oldBucket{kv}, err
}

// make creates a bucket with all settings that the older API knows.
func (o old) make(_ context.Context, c config) (bucket, error) {
	k := &nats.KeyValueConfig{
		Bucket: c.Bucket, History: c.History, TTL: c.TTL, MaxValueSize: c.MaxValueSize, MaxBytes: c.MaxBytes,
		Description: c.Description, Storage: nats.FileStorage, Compression: c.Compression,
	}

	if c.Memory {
		k.Storage = nats.MemoryStorage
	}
	if c.Republish {
		k.RePublish = &nats.RePublish{Source: "$KV." + c.Bucket + ".>", Destination: "copy.>"}
	}
	if c.Mirror != "" {
		k.Mirror = &nats.StreamSource{Name: c.Mirror}
	}
	if c.Source != "" {
		k.Sources = []*nats.StreamSource{{Name: c.Source}}
	}
	if c.Placement != "" {
		k.Placement = &nats.Placement{Cluster: c.Placement}
	}

	kv, err := o.js.CreateKeyValue(k)
	return oldBucket{kv}, err
}

func (o old) update(context.Context, config) (bucket, error)       { return nil, errNotInLegacy }
func (o old) makeOrUpdate(context.Context, config) (bucket, error) { return nil, errNotInLegacy }
func (o old) remove(_ context.Context, name string) error          { return o.js.DeleteKeyValue(name) }

func (o old) names(ctx context.Context) ([]string, error) {
	return drained(ctx, o.js.KeyValueStoreNames())
}

func (o old) statuses(ctx context.Context) ([]status, error) {
	all, err := drained(ctx, o.js.KeyValueStores())
	var list []status
	for _, s := range all {
		list = append(list, oldStatus(s))
	}
	return list, err
}

func oldStatus(s nats.KeyValueStatus) status {
	c := s.Config()
	return status{s.Bucket(), s.Values(), s.History(), s.TTL(), config{
		Bucket: c.Bucket, History: c.History, TTL: c.TTL, MaxValueSize: c.MaxValueSize, MaxBytes: c.MaxBytes,
		Description: c.Description, Memory: c.Storage == nats.MemoryStorage, Compression: s.IsCompressed(),
	}}
}

// oldBucket is a bucket of package nats.
type oldBucket struct{ kv nats.KeyValue }

func (b oldBucket) put(_ context.Context, key, value string) (uint64, error) {
	return b.kv.Put(key, []byte(value))
}

func (b oldBucket) create(_ context.Context, key, value string, ttl time.Duration) (uint64, error) {
	if ttl != 0 {
		return 0, errNotInLegacy
	}
	return b.kv.Create(key, []byte(value))
}

func (b oldBucket) update(_ context.Context, key, value string, revision uint64) (uint64, error) {
	return b.kv.Update(key, []byte(value), revision)
}

func (b oldBucket) remove(_ context.Context, key string, o removal) error {
	if o.TTL != 0 {
		return errNotInLegacy
	}
	var opts []nats.DeleteOpt
	if o.Revision != 0 {
		opts = append(opts, nats.LastRevision(o.Revision))
	}
	if o.Purge {
		return b.kv.Purge(key, opts...)
	}
	return b.kv.Delete(key, opts...)
}

func (b oldBucket) get(_ context.Context, key string) (entry, error) {
	e, err := b.kv.Get(key)
	if err != nil {
		return entry{}, err
	}
	return entryOf(e), nil
}

func (b oldBucket) getRevision(_ context.Context, key string, revision uint64) (entry, error) {
	e, err := b.kv.GetRevision(key, revision)
	if err != nil {
		return entry{}, err
	}
	return entryOf(e), nil
}

func (b oldBucket) history(_ context.Context, key string) ([]entry, error) {
	list, err := b.kv.History(key)
	var all []entry
	for _, e := range list {
		all = append(all, entryOf(e))
	}
	return all, err
}

func (b oldBucket) keys(context.Context) ([]string, error) { return b.kv.Keys() }

func (b oldBucket) listKeys(ctx context.Context, filters []string) ([]string, error) {
	if len(filters) > 0 {
		return nil, errNotInLegacy
	}
	l, err := b.kv.ListKeys()
	if err != nil {
		return nil, err
	}
	return drained(ctx, l.Keys())
}

func (b oldBucket) watch(_ context.Context, filters []string, o watching) (*watch, error) {
	if o.From > 0 {
		return nil, errNotInLegacy
	}
	var opts []nats.WatchOpt
	for _, opt := range []struct {
		is  bool
		opt nats.WatchOpt
	}{
		{o.History, nats.IncludeHistory()}, {o.UpdatesOnly, nats.UpdatesOnly()},
		{o.MetaOnly, nats.MetaOnly()}, {o.IgnoreDeletes, nats.IgnoreDeletes()},
	} {
		if opt.is {
			opts = append(opts, opt.opt)
		}
	}

	var w nats.KeyWatcher
	var err error
	switch len(filters) {
	case 0:
		w, err = b.kv.WatchAll(opts...)
	case 1:
		w, err = b.kv.Watch(filters[0], opts...)
	default:
		w, err = b.kv.WatchFiltered(slices.Clone(filters), opts...) // it writes to its argument
	}
	if err != nil {
		return nil, err
	}
	updates := updatesOf(w.Updates(), func(e nats.KeyValueEntry) bool { return e == nil })
	return &watch{updates, w.Stop}, nil
}

func (b oldBucket) purgeDeletes(_ context.Context, olderThan time.Duration) error {
	return b.kv.PurgeDeletes(nats.DeleteMarkersOlderThan(olderThan))
}

func (b oldBucket) status(context.Context) (status, error) {
	s, err := b.kv.Status()
	if err != nil {
		return status{}, err
	}
	return oldStatus(s), nil
}
