package server

import (
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	nats "github.com/nats-io/nats-server/v2/server"

	"quartet/bus"
	"quartet/bus/secure"
)

// guard lets clients in by their certificates, and the nodes' own connections by the nodes'
// password: those of this process come through a pipe, which has no TLS.
type guard struct {
	options *Options
	nodes   []*nats.User // front, operator and node, who have passwords
	roles   map[secure.Role]*nats.Permissions
	server  *nats.Server
}

// errNoRole and others are why a connection is refused; the other end is told less.
var (
	errNoCertificate = errors.New("it has no certificate")
	errNodesPassword = errors.New("it has a node's certificate, and not the password of this server's nodes")
	errNoNode        = errors.New("it asks to be a node, and its certificate is a client's")
)

func newGuard(o *Options, users []*nats.User, subjects bus.Subjects, internal string) *guard {
	g := &guard{options: o, nodes: users, roles: map[secure.Role]*nats.Permissions{}}
	for _, r := range secure.Clients {
		p := secure.Of(r, subjects, internal)
		if o.ClientJetStream {
			p = p.WithJetStream()
		}
		g.roles[r] = &nats.Permissions{
			Publish: &nats.SubjectPermission{Allow: p.Publish, Deny: p.Deny},
		}
	}
	return g
}

// Check implements [nats.Authentication].
func (g *guard) Check(c nats.ClientAuthentication) bool {
	user, err := g.user(c.GetOpts(), c.GetTLSConnectionState())
	if err == nil {
		err = g.in(user)
	}
	if err != nil {
		g.options.Log.Warn("bus/server: a client is refused", "address", c.RemoteAddress(), "reason", err)
		return false
	}
	c.RegisterUser(user)
	return true
}

// in gives a user the account of the running server.
func (g *guard) in(u *nats.User) error {
	account, err := g.server.LookupAccount(u.Account.Name)
	if err != nil {
		return fmt.Errorf("account %s: %w", u.Account.Name, err)
	}
	u.Account = account
	return nil
}

// user is who a connection is: one of the nodes by name and password, or else a client by its
// certificate, until that ends.
func (g *guard) user(said *nats.ClientOpts, state *tls.ConnectionState) (*nats.User, error) {
	isRemote := state != nil
	named := g.named(said)
	if !isRemote {
		if named == nil {
			return nil, errNoCertificate
		}
		return named, nil
	}
	if len(state.PeerCertificates) == 0 {
		return nil, errNoCertificate
	}
	cert := state.PeerCertificates[0]
	role, err := secure.RoleOf(cert)
	if err != nil {
		return nil, err
	}
	if err := secure.Valid(cert, time.Now()); err != nil { // a reload asks again
		return nil, err
	}

	isNode := role == secure.Node
	switch {
	case isNode && named == nil:
		return nil, errNodesPassword
	case isNode:
		named.ConnectionDeadline = cert.NotAfter
		return named, nil
	case g.isNodes(said.Username):
		return nil, fmt.Errorf("%w: %s (%s)", errNoNode, cert.Subject.CommonName, role)
	}
	return &nats.User{
		Username: cert.Subject.CommonName, Account: &nats.Account{Name: AccountClients}, Permissions: g.roles[role],
		ConnectionDeadline: cert.NotAfter,
	}, nil
}

func (g *guard) isNodes(name string) bool {
	for _, u := range g.nodes {
		if u.Username == name {
			return true
		}
	}
	return false
}

// named is a copy of the user whose name and password were said; nil: none.
func (g *guard) named(said *nats.ClientOpts) *nats.User {
	for _, u := range g.nodes {
		isIt := u.Username == said.Username && subtle.ConstantTimeCompare([]byte(u.Password), []byte(said.Password)) == 1
		if isIt {
			one := *u
			return &one
		}
	}
	return nil
}
