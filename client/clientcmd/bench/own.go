package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"

	"quartet/client/internal/process"
)

// sweptReplicas is the quantity that no running cluster can change in a moment: the bench
// starts a cluster for each value, in memory and on a free port, and stops it again.
const sweptReplicas = "replicas"

// ownCluster is one that the bench has started.
type ownCluster struct {
	cluster *process.Cluster
	logs    string
}

func (o *ownCluster) stop() error {
	if o.cluster == nil {
		return nil
	}
	err := errors.Join(o.cluster.Stop(), os.RemoveAll(o.logs))
	*o = ownCluster{}
	return err
}

// checkOwn refuses what has no meaning for clusters of our own.
func (b *bench) checkOwn(p *plan) error {
	switch {
	case p.swept == nil || p.swept.name != sweptReplicas:
		return nil
	case b.conn.Settings.Asked():
		return errors.New("--sweep replicas starts clusters of its own: it cannot measure one that is named")
	case b.compare:
		return errors.New("--sweep replicas and --compare-kv exclude each other: there would be a bucket in each cluster")
	}
	return nil
}

// begin starts the cluster that a point needs, in place of the one before.
func (r *run) begin(ctx context.Context, point *point) error {
	if r.swept == nil || r.swept.name != sweptReplicas {
		return nil
	}
	r.lines.close()
	r.lines = lines{}
	if err := r.own.stop(); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	program, err := r.env.Executable()
	if err != nil {
		return err
	}
	logs, err := os.MkdirTemp("", "quartet-bench")
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	cluster, err := process.Start(ctx, program, logs, r.conn.Prefix, "--replicas", strconv.Itoa(point.value))
	if err != nil {
		return errors.Join(fmt.Errorf("bench: %w", err), os.RemoveAll(logs))
	}
	r.own = ownCluster{cluster, logs}
	r.conn.Own = cluster.URL
	r.filled, r.Load.Processes = [3]int{}, nil
	return nil
}
