package peers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"

	"quartet/client"
	"quartet/client/measure/load"
)

var readyLine = regexp.MustCompile(`(?m)^ready (nats://\S+)$`)

// startQuartet runs a master with its embedded server and three replica processes.
func (s *store) startQuartet(ctx context.Context, at site, mode string) error {
	args := []string{"master", "--listen", "127.0.0.1:-1", "--log-dir", filepath.Join(at.disk, "log")}
	if mode == "memory" {
		args = append(args, "--memory")
	} else {
		args = append(args, "--dir", filepath.Join(at.disk, "kept"), "--sync", mode)
	}

	if err := s.start("master", at.programs.Quartet, at.disk, args...); err != nil {
		return err
	}

	s.children[0].parent = true

	err := serving(ctx, s.children, func(context.Context) error {
		said, err := os.ReadFile(s.children[0].said)
		if err != nil {
			return err
		}
		match := readyLine.FindSubmatch(said)
		if match == nil {
			return errors.New("no ready line")
		}
		s.url = string(match[1])
		return nil
	})
	if err != nil {
		return err
	}

	c, err := client.Connect(ctx, s.url)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := serving(ctx, s.children, func(ctx context.Context) error { return s.learn(ctx, c) }); err != nil {
		return err
	}

	s.open = func(ctx context.Context, side *side, n int) (connections, error) {
		return s.openQuartet(ctx, at, side, n)
	}
	return nil
}

// learn waits until three replicas are members and notes their processes.
func (s *store) learn(ctx context.Context, c *client.Client) error {
	status, err := c.Status(ctx)
	if err != nil {
		return err
	}

	processes := s.processes[:1] // the master
	for _, r := range status.Replicas {
		if r.Member {
			processes = append(processes, load.Process{Name: r.ID, PID: r.PID})
		}
	}

	if len(processes) != 4 || !status.Ready {
		return fmt.Errorf("%d replicas are members", len(processes)-1)
	}
	s.processes, s.version = processes, status.Version
	return nil
}

func (s *store) openQuartet(ctx context.Context, at site, side *side, n int) (connections, error) {
	if side.driver == keyValue {
		return s.openKeyValue(ctx, at, side, n)
	}
	var all connections
	for range n {
		c, err := client.Connect(ctx, s.url, client.WithTimeout(at.o.Timeout))
		if err != nil {
			return all, err
		}
		all.add(side.sender(c, at.o.Keys), func() { _ = c.Close() })
	}
	return all, nil
}

// sender is how the side drives a client: by callbacks, or by calls as programs do.
func (s *side) sender(c *client.Client, keys int) load.Sender {
	sets, others := load.Quartet{Client: c, Consistency: s.model}, other{c, s, keys}
	isOther, isCalled := s.request != "", s.driver == goPackage
	switch {
	case isOther && isCalled:
		return otherCaller{others}
	case isOther:
		return others
	case isCalled:
		return load.QuartetCaller{Quartet: sets}
	}
	return sets
}
