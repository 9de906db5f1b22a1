package secure

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"

	"quartet/bus"
	"quartet/bus/model"
)

// Role is what the holder of a certificate may do.
type Role string

// The roles. Who may request may not operate. What a console in the browser can change are keys:
// for that it takes Write as a request does, and Operate changes nothing there.
const (
	Node    Role = "node"    // servers, replicas and masters: what they say to each other
	Read    Role = "read"    // gets, lists and watches
	Write   Role = "write"   // all requests
	Operate Role = "operate" // recover, remove, lead; and what Read may, of which backups are made
)

// Roles are all roles.
var Roles = []Role{Node, Read, Write, Operate}

// Clients are the roles that are not the nodes' own.
var Clients = []Role{Read, Write, Operate}

// ErrRole is wrapped where a certificate is of no role, or of one that does not do.
var ErrRole = errors.New("secure: the certificate's role")

// scheme begins the URI of a role.
const scheme = "quartet:"

// User is the name of a role in certificates, and that of its user on a NATS server that maps
// certificates to users.
func (r Role) User() string { return scheme + string(r) }

// ParseRole reads the name of a role.
func ParseRole(s string) (Role, error) {
	for _, r := range Roles {
		if string(r) == s {
			return r, nil
		}
	}
	return "", fmt.Errorf("%w is %q: want one of node, read, write, operate", ErrRole, s)
}

// RoleOf is the role that a certificate names: exactly one.
func RoleOf(c *x509.Certificate) (Role, error) {
	var found []string
	for _, u := range c.URIs {
		if name, isRole := strings.CutPrefix(u.String(), scheme); isRole {
			found = append(found, name)
		}
	}
	if len(found) != 1 {
		return "", fmt.Errorf("%w: %s names %d roles, not one", ErrRole, c.Subject.CommonName, len(found))
	}
	return ParseRole(found[0])
}

// Permissions are where a user may publish and where not, and what it may not listen to; an empty
// Publish is everything. What it hears it hears beside those that it is meant for: DenyListen names
// a queue group, as a NATS server's permissions do, in which it would hear in place of them.
type Permissions struct{ Publish, Deny, DenyListen []string }

// WithJetStream lets the user ask for JetStream, too.
func (p Permissions) WithJetStream() Permissions {
	if len(p.Publish) > 0 {
		p.Publish = append(slices.Clone(p.Publish), jetStreamAPI)
		return p
	}
	p.Deny = slices.DeleteFunc(slices.Clone(p.Deny), func(s string) bool { return s == jetStreamAPI })
	return p
}

// jetStreamAPI is where JetStream is asked.
const jetStreamAPI = "$JS.API.>"

// Of returns the permissions of a client's role below the subjects s, whose nodes speak below
// internal.
func Of(r Role, s bus.Subjects, internal string) Permissions {
	p := OfNodesAlone(s, internal)
	switch r {
	case Read:
		p.Publish, p.Deny = reading(s), nil
	case Operate:
		p.Publish, p.Deny = append(reading(s), operating(s)...), nil
	case Write:
		p.Deny = append(p.Deny, operating(s)...)
	default:
		return Permissions{}
	}
	return p
}

// OfNodesAlone denies what no client may, whatever else it is allowed: to speak as a node, to ask
// for JetStream, and to be one of the masters' queue group, of which one alone hears a request.
func OfNodesAlone(s bus.Subjects, internal string) Permissions {
	return Permissions{
		Deny:       []string{internal, s.Shadows(), s.Led(), jetStreamAPI},
		DenyListen: []string{s.All() + " " + s.Masters()},
	}
}

func operating(s bus.Subjects) []string { return []string{s.Recover(), s.Remove(), s.Lead()} }

// reading is where whoever only reads publishes. Models are named one by one: a wildcard would let
// a put through into a bucket that is called as the token after it.
func reading(s bus.Subjects) []string {
	list := []string{
		s.Read(), s.Status(), s.Report(), s.FlowsOfAll(),
		"$JS.FC.>", "$JS.ACK.>", "$SRV.>", "$SYS.REQ.USER.INFO",
	}
	doors := []string{strings.TrimSuffix(s.Buckets(), ".")}
	for _, m := range model.All {
		doors = append(doors, s.Buckets()+m.Word())
	}
	for _, door := range doors {
		for _, call := range []string{
			"INFO", "STREAM.INFO.>", "STREAM.NAMES", "STREAM.LIST", "STREAM.MSG.GET.>", "DIRECT.GET.>", "CONSUMER.>",
		} {
			list = append(list, door+"."+call)
		}
	}
	return list
}
