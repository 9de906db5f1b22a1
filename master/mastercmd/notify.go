package mastercmd

import (
	"context"
	"log/slog"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"quartet/bus"
	"quartet/master/masternode"
)

// service tells the service manager that started this process how it is, by the socket that
// NOTIFY_SOCKET names: that the cluster is ready, that it ends, and, if the unit has a
// WatchdogSec, again and again that the loop turns. Without such a socket it says nothing.
type service struct {
	log *slog.Logger
}

func (s service) say(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		s.log.Warn("the service manager cannot be told", "state", state, "error", err)
	}
}

// ready is called when the cluster is.
func (s service) ready(url string) { s.say(daemon.SdNotifyReady + "\nSTATUS=ready " + url) }

// watch runs until ended is closed. A loop that stands still is not spoken for: then the
// service manager starts the master again.
func (s service) watch(stopping context.Context, probe *bus.Probe[masternode.Figures], ended <-chan struct{}) {
	period, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		s.log.Warn("the service manager's watchdog cannot be read", "error", err)
	}
	var due <-chan time.Time
	if period > 0 {
		tick := time.NewTicker(period / 3)
		defer tick.Stop()
		due = tick.C
	}
	asked := stopping.Done()
	for {
		select {
		case <-due:
			ctx, cancel := context.WithTimeout(context.Background(), period/3)
			if _, err := probe.Ask(ctx); ctx.Err() == nil || err == nil {
				s.say(daemon.SdNotifyWatchdog) // it turns, or has not begun yet
			}
			cancel()
		case <-asked:
			s.say(daemon.SdNotifyStopping)
			asked = nil
		case <-ended:
			return
		}
	}
}
