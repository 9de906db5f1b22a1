package bus

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// MasterBeat is the JSON object that a master publishes on [Subjects.Beats] several times a second,
// to the other masters of its cluster: who leads, who stands by, who is to lead next.
type MasterBeat struct {
	Name        string `json:"name"`                  // by which people know it
	Life        uint64 `json:"life,string"`           // of its process, drawn at random
	Number      uint64 `json:"number"`                // of the beat: it rises
	Role        string `json:"role"`                  // stands by, comes, leads, leaves or gone
	Incarnation uint64 `json:"incarnation,omitempty"` // with which it leads
	Epoch       uint64 `json:"epoch,omitempty"`       // while it leads: of the view that stands
	Unable      bool   `json:"unable,omitempty"`      // it leads, and has formed no view for long
	Hears       string `json:"hears,omitempty"`       // the name of the master that it hears lead
	Next        string `json:"next,omitempty"`        // while it leaves: who is to lead
	Ready       bool   `json:"ready,omitempty"`       // while it comes: requests wait for it
	Host        string `json:"host,omitempty"`
	PID         int    `json:"pid"`
	URL         string `json:"url,omitempty"` // of its NATS server, without credentials

	// Ended are processes of replicas that it has seen end lately, so that the master that leads
	// need not wait until their silence shows it.
	Ended []EndedReplica `json:"ended,omitempty"`
}

// EndedReplica is a process that was a replica.
type EndedReplica struct {
	Number  uint64 `json:"number"` // of such ends that this master has seen: it rises
	Replica string `json:"replica"`
	PID     int    `json:"pid"`
}

// The words of [MasterBeat.Role] and [MasterPeer.Role].
const (
	RoleStandsBy = "stands by"
	RoleComes    = "comes"
	RoleLeads    = "leads"
	RoleLeaves   = "leaves"
	RoleGone     = "gone"
)

// mostBeat bounds a beat in bytes, and maxMasterName a name in it.
const (
	mostBeat      = 4096
	MaxMasterName = 64
)

// nameBytes are what a master's name is made of.
const nameBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_"

// ErrBeat is wrapped by [ParseMasterBeat].
var ErrBeat = errors.New("bus: no beat of a master")

// ParseMasterBeat reads a beat. The error wraps [ErrBeat].
func ParseMasterBeat(b []byte) (m MasterBeat, err error) {
	if len(b) > mostBeat {
		return m, fmt.Errorf("%w: %d bytes", ErrBeat, len(b))
	}
	if err := json.Unmarshal(b, &m); err != nil {
		return m, fmt.Errorf("%w: %w", ErrBeat, err)
	}
	if !IsMasterName(m.Name) || m.Life == 0 {
		return m, fmt.Errorf("%w: it names nobody", ErrBeat)
	}
	return m, nil
}

// IsMasterName reports whether a master can be called so: 1 to [MaxMasterName] letters, digits,
// dots, dashes and underscores of ASCII.
func IsMasterName(s string) bool {
	for i := range len(s) {
		if strings.IndexByte(nameBytes, s[i]) < 0 {
			return false
		}
	}
	return s != "" && len(s) <= MaxMasterName
}

// LeadRequest asks, on [Subjects.Lead], the master that leads to hand over to another.
type LeadRequest struct {
	Master string `json:"master"` // its name
}

// LeadReply answers a [LeadRequest]. The other one leads once the [Status] says so.
type LeadReply struct {
	Error string `json:"error,omitempty"` // why nothing is done, one line
	Begun bool   `json:"begun"`           // it is handed over, or the one that was named leads already
}
