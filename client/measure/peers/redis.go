package peers

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/redis/go-redis/v9"

	"quartet/client/measure/load"
)

const redisReplicas = 2

// startRedis runs a primary and two replicas that keep nothing on disk.
func (s *store) startRedis(ctx context.Context, at site) error {
	ports, err := freePorts(1 + redisReplicas)
	if err != nil {
		return err
	}

	for i, port := range ports {
		name := "primary"
		args := []string{"--port", fmt.Sprint(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
			"--repl-diskless-sync-delay", "0"}
		if i > 0 {
			name = fmt.Sprintf("replica%d", i)
			args = append(args, "--replicaof", "127.0.0.1", fmt.Sprint(ports[0]))
		}
		if err := s.start(name, at.programs.Redis, filepath.Join(at.disk, name), args...); err != nil {
			return err
		}
	}

	address := fmt.Sprintf("127.0.0.1:%d", ports[0])
	c := redis.NewClient(&redis.Options{Addr: address})
	defer c.Close()
	err = serving(ctx, s.children, func(ctx context.Context) error {
		info, err := c.Info(ctx, "server", "replication").Result()
		if err != nil {
			return err
		}
		if n := strings.Count(info, "state=online"); n != redisReplicas {
			return fmt.Errorf("%d replicas follow", n)
		}
		_, after, _ := strings.Cut(info, "redis_version:")
		s.version, _, _ = strings.Cut(after, "\r\n")
		return nil
	})
	if err != nil {
		return err
	}

	s.open = func(_ context.Context, side *side, n int) (connections, error) {
		return openRedis(at, address, side, n)
	}
	return nil
}

// openRedis makes n clients. A shared client has a connection for each of up to 64 requests
// outstanding, which is more than its default and faster; one of several clients has one
// connection.
func openRedis(at site, address string, side *side, n int) (connections, error) {
	var all connections
	for range n {
		o := &redis.Options{Addr: address, PoolSize: 64, ReadTimeout: at.o.Timeout, WriteTimeout: at.o.Timeout}
		if n > 1 {
			o.PoolSize = 1
		}

		c := redis.NewClient(o)
		closer := func() { _ = c.Close() }

		switch side.driver {
		case redisWait:
			all.add(calls(func(op load.Op) load.Outcome { return setAndWait(c, op, at) }), closer)
		case redisBatches:
			pipeline, err := c.AutoPipeline()
			if err != nil {
				closer()
				return all, fmt.Errorf("peers: go-redis's AutoPipeline: %w", err)
			}
			all.add(calls(func(op load.Op) load.Outcome { return callRedis(pipeline, op) }), func() {
				_ = pipeline.Close()
				closer()
			})
		default:
			all.add(calls(func(op load.Op) load.Outcome { return callRedis(c, op) }), closer)
		}
	}
	return all, nil
}

func callRedis(c redis.Cmdable, op load.Op) load.Outcome {
	ctx := context.Background() // the client's own timeouts hold
	if isSet(op) {
		return redisOutcome(c.Set(ctx, op.Key, op.Value, 0).Err())
	}
	return redisOutcome(c.Get(ctx, op.Key).Err())
}

// setAndWait sends SET and WAIT in one pipeline: WAIT is about what its own connection has sent.
func setAndWait(c *redis.Client, op load.Op, at site) load.Outcome {
	ctx := context.Background()
	p := c.Pipeline()
	p.Set(ctx, op.Key, op.Value, 0)
	wait := p.Do(ctx, "WAIT", redisReplicas, (at.o.Timeout / 2).Milliseconds())
	if _, err := p.Exec(ctx); err != nil {
		return redisOutcome(err)
	}
	if held, err := wait.Int(); err != nil || held < redisReplicas {
		return load.Unknown
	}
	return load.OK
}

func redisOutcome(err error) load.Outcome {
	var refused redis.Error
	switch {
	case err == nil:
		return load.OK
	case errors.Is(err, redis.Nil):
		return load.Missing
	case errors.As(err, &refused):
		return load.Failed
	}
	return load.Unknown
}
