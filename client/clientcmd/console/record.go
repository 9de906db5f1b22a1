package console

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/spf13/pflag"

	"quartet/bus/host/config"
	"quartet/bus/host/exit"
	"quartet/bus/model"
	"quartet/client"
	"quartet/client/judge/record"
	"quartet/client/measure/load"
)

// restLimit is how long a recording command waits for the replicas to agree at its end. They
// do so in
// moments, but on a machine that is busy with something else.
const restLimit = 15 * time.Second

// Recording is the flag --record.
type Recording struct{ Dir string }

// Flag adds --record.
func (r *Recording) Flag(f *pflag.FlagSet) {
	config.NotEmpty(f, &r.Dir, "record", "",
		"keep what was sent and heard in `DIR`, for \"quartet check\"; auto: in a new folder, runs/TIME")
}

// Open returns the recorder that was asked for, or nil. A complete history holds every
// set that its keys ever had.
func (r *Recording) Open(complete bool) (*record.Recorder, error) {
	if r.Dir == "" {
		return nil, nil
	}
	dir, err := record.Folder(r.Dir, time.Now())
	if err != nil {
		return nil, err
	}
	return record.Open(record.Options{Dir: dir, Program: thisProgram(), Complete: complete})
}

// Observer has a load recorded. Clients are called name and the number of their lane, from
// 1; sessions are what is called session and that number, if it is not "".
func Observer(r *record.Recorder, name, session string) load.Observer {
	return func(o load.Observation) {
		lane, in := strconv.Itoa(o.Op.Lane+1), ""
		if session != "" {
			in = session + lane
		}
		request := client.Request{Request: model.Request{Model: o.Consistency, Type: o.Op.Type, Key: o.Op.Key, Value: o.Op.Value}}
		r.Ended(name+lane, in, &request, o.Began, o.Ended, &o.Result, o.Err)
	}
}

func thisProgram() string {
	name := "quartet"
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				name += " " + s.Value[:min(12, len(s.Value))]
			}
		}
	}
	return name
}

// AtRest records what the replicas hold in the end. That it cannot be done, or that there
// was no time for it, is no failure of the requests: it is told.
func AtRest(ctx context.Context, r *record.Recorder, c *client.Client, stderr io.Writer) {
	if r == nil || ctx.Err() != nil {
		return
	}
	if err := r.Rest(ctx, c, restLimit); err != nil {
		fmt.Fprintf(stderr, "what the replicas hold in the end was not recorded: %v\n", err)
	}
}

// Recorded closes the recorder and says where the record is. It returns failed with the
// recorder's own failure, if there was one.
func Recorded(r *record.Recorder, stderr io.Writer, failed error) error {
	if r == nil {
		return failed
	}
	err := r.Close()
	switch {
	case err == nil:
		fmt.Fprintf(stderr, "recorded in %s; judge it with: quartet check %s\n", r.Dir(), r.Dir())
		return failed
	case failed == nil || failed.Error() == "":
		return exit.With(max(exit.StatusFailed, exit.Status(failed)), err)
	}
	return errors.Join(failed, err)
}
