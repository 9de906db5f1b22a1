package movecmd

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"quartet/bus"
	"quartet/bus/host/exit"
	"quartet/bus/model"
	"quartet/client/dump"
)

// source is another store, out of which import reads.
type source interface {
	// each calls give for every key and its value, and returns the first error of give or its own.
	// It returns [errOther] at the end if it has left out what is no value.
	each(ctx context.Context, give func(dump.Entry) error) error
	close()
}

// source connects to the store that --from names.
func (i *in) source(ctx context.Context) (source, error) {
	u, err := url.Parse(i.from)
	if err != nil {
		return nil, exit.Usage(fmt.Errorf("--from: %w", redacted(err)))
	}
	isCredsOfOthers := i.creds != "" && u.Scheme != "nats" && u.Scheme != "tls"
	if isCredsOfOthers {
		return nil, exit.Usage(errors.New("--from-creds is for --from nats"))
	}

	switch u.Scheme {
	case "nats", "tls":
		return fromNATS(u, i.creds)
	case "etcd", "etcds":
		return fromEtcd(ctx, u)
	case "redis", "rediss":
		return fromRedis(ctx, u)
	}
	return nil, exit.Usage(fmt.Errorf("--from: %q is none of nats, tls, etcd, etcds, redis, rediss: export to lines of JSON and import those", u.Scheme))
}

// redacted is what was wrong with a URL, without the URL: a password may be in it.
func redacted(err error) error {
	var wrong *url.Error
	if errors.As(err, &wrong) {
		return wrong.Err
	}
	return err
}

// path is the path of a URL without its first slash.
func path(u *url.URL) string { return strings.TrimPrefix(u.Path, "/") }

// fit returns an error if another store's key and value cannot be written here.
func fit(e *dump.Entry) error {
	set := model.NewSet(model.Linearizable, e.Key, e.Value)
	if err := bus.Check(&set); err != nil {
		return fmt.Errorf("key %q: %w", e.Key, err)
	}
	return nil
}
