package movecmd

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/gomodule/redigo/redis"

	"quartet/client/dump"
)

// redisSource reads from a Redis.
type redisSource struct {
	conn  redis.Conn
	seen  map[string]bool // keys: a scan may show one twice
	other uint64          // keys that hold no string
}

// fromRedis connects to the Redis at a URL, whose path is the number of a database.
func fromRedis(ctx context.Context, u *url.URL) (source, error) {
	conn, err := redis.DialURLContext(ctx, u.String(),
		redis.DialConnectTimeout(silence), redis.DialReadTimeout(silence), redis.DialWriteTimeout(silence))
	if err != nil {
		return nil, fmt.Errorf("redis at %s: %w", u.Host, err)
	}
	return &redisSource{conn: conn, seen: map[string]bool{}}, nil
}

func (s *redisSource) close() { _ = s.conn.Close() } // it was read

// scanCount is how many keys Redis is asked to look at for one page.
const scanCount = 500

// errOther is wrapped by the error of a source that has given all values, and left out keys that
// hold something else.
var errOther = errors.New("keys that hold no string (but a list, a hash, …) were left out")

// each goes through the database by SCAN. A key that is there all the while is given once; one that
// comes or goes meanwhile may be missing.
func (s *redisSource) each(ctx context.Context, give func(dump.Entry) error) error {
	cursor := "0"
	for {
		page, err := redis.Values(redis.DoContext(s.conn, ctx, "SCAN", cursor, "COUNT", scanCount))
		if err != nil {
			return fmt.Errorf("redis: %w", err)
		}

		var keys []string
		if _, err := redis.Scan(page, &cursor, &keys); err != nil {
			return fmt.Errorf("redis: %w", err)
		}
		if err := s.values(ctx, keys, give); err != nil {
			return err
		}

		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case cursor == "0" && s.other > 0:
			return fmt.Errorf("redis: %w: %d", errOther, s.other)
		case cursor == "0":
			return nil
		}
	}
}

// values gives what keys hold: the commands for all of them are sent at once.
func (s *redisSource) values(ctx context.Context, keys []string, give func(dump.Entry) error) error {
	var fresh []string
	for _, key := range keys {
		if !s.seen[key] {
			s.seen[key] = true
			fresh = append(fresh, key)
		}
	}

	for _, key := range fresh {
		if err := errors.Join(s.conn.Send("GET", key), s.conn.Send("PTTL", key)); err != nil {
			return fmt.Errorf("redis: %w", err)
		}
	}
	if err := s.conn.Flush(); err != nil {
		return fmt.Errorf("redis: %w", err)
	}

	for _, key := range fresh {
		value, err := redis.Bytes(redis.ReceiveContext(s.conn, ctx))
		left, endErr := redis.Int64(redis.ReceiveContext(s.conn, ctx))
		var refused redis.Error

		isOther := errors.As(err, &refused) && strings.HasPrefix(string(refused), "WRONGTYPE")
		switch {
		case errors.Is(err, redis.ErrNil): // it has gone meanwhile
			continue
		case isOther && endErr == nil:
			s.other++
			continue
		case err != nil || endErr != nil:
			return fmt.Errorf("redis: key %q: %w", key, errors.Join(err, endErr))
		}

		e := dump.Entry{Key: key, Value: value}
		if left >= 0 {
			e.Expires = time.Now().Add(time.Duration(left) * time.Millisecond)
		}
		if err := fit(&e); err != nil {
			return err
		}
		if err := give(e); err != nil {
			return err
		}
	}
	return nil
}
