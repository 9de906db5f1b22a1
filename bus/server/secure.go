package server

import (
	"context"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	nats "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"
	"golang.org/x/crypto/bcrypt"

	"quartet/bus"
	"quartet/bus/secure"
)

// guard lets clients in by their certificates, and the nodes' own connections by the nodes'
// password: those of this process come through a pipe, which has no TLS.
type guard struct {
	options *Options
	nodes   []*nats.User // front, operator and node, who have passwords

	configured users // of a configuration
	roles      map[secure.Role]*nats.Permissions
	server     *nats.Server

	mu       sync.Mutex
	admitted map[uint64]*x509.Certificate // by the number of a connection: with which it was let in
}

// revokedEvery is how often connections are looked through for certificates that were revoked since
// they were let in.
const revokedEvery = time.Second

// errNoRole and others are why a connection is refused; the other end is told less.
var (
	errNoCertificate = errors.New("it has no certificate, and names no user that is known")
	errNodesPassword = errors.New("it has a node's certificate, and not the password of this server's nodes")
	errNoNode        = errors.New("it asks to be a node, and its certificate is a client's")
)

func newGuard(o *Options, users []*nats.User, subjects bus.Subjects, internal string) *guard {
	g := &guard{options: o, nodes: users, roles: map[secure.Role]*nats.Permissions{}, admitted: map[uint64]*x509.Certificate{}}
	for _, r := range secure.Clients {
		p := secure.Of(r, subjects, internal)
		if o.ClientJetStream {
			p = p.WithJetStream()
		}
		g.roles[r] = &nats.Permissions{
			Publish:   &nats.SubjectPermission{Allow: p.Publish, Deny: p.Deny},
			Subscribe: &nats.SubjectPermission{Deny: p.DenyListen},
		}
	}
	return g
}

// Check implements [nats.Authentication].
func (g *guard) Check(c nats.ClientAuthentication) bool {
	user, err := g.byConfiguration(c)
	if err == nil && user == nil {
		user, err = g.user(c.GetOpts(), c.GetTLSConnectionState())
	}
	if err == nil {
		err = g.in(user)
	}
	if err != nil {
		g.options.Log.Warn("bus/server: a client is refused", "address", c.RemoteAddress(), "reason", err)
		return false
	}
	c.RegisterUser(user)
	state := c.GetTLSConnectionState()
	isCertified := g.options.Secure != nil && state != nil && len(state.PeerCertificates) > 0
	if isCertified {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.admitted[c.GetID()] = state.PeerCertificates[0]
	}
	return true
}

// watch ends the connections of those whose certificates are revoked, until ctx ends.
func (g *guard) watch(ctx context.Context) {
	tick := time.NewTicker(revokedEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			g.endRevoked()
		}
	}
}

func (g *guard) endRevoked() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for id, cert := range g.admitted {
		err := g.options.Secure.Refuses(cert)
		isGone := g.server.GetClient(id) == nil && g.server.GetLeafNode(id) == nil
		if isGone || err != nil {
			delete(g.admitted, id)
		}
		if err == nil || isGone {
			continue
		}
		g.options.Log.Warn("bus/server: a connection is ended", "reason", err)
		if err := g.server.DisconnectClientByID(id); err != nil {
			g.options.Log.Debug("bus/server: it has ended by itself", "error", err)
		}
	}
}

// errProof is why a user of a configuration is refused.
var errProof = errors.New("it has not proved that it is the user that it names")

// byConfiguration is who a connection is by a name and password, or a key, of the configuration;
// nil: it names none of those.
func (g *guard) byConfiguration(c nats.ClientAuthentication) (*nats.User, error) {
	said := c.GetOpts()
	if i := slices.IndexFunc(g.configured.named, func(u *nats.User) bool { return said.Username != "" && u.Username == said.Username }); i >= 0 {
		one := *g.configured.named[i]
		if !isPassword(one.Password, said.Password) {
			return nil, fmt.Errorf("%w: %s", errProof, said.Username)
		}
		return &one, nil
	}

	i := slices.IndexFunc(g.configured.keys, func(u *nats.NkeyUser) bool { return said.Nkey != "" && u.Nkey == said.Nkey })
	if i < 0 {
		return nil, nil
	}
	one := g.configured.keys[i]
	key, err := nkeys.FromPublicKey(one.Nkey)
	if err != nil {
		return nil, err
	}
	signature, err := base64.RawURLEncoding.DecodeString(said.Sig)
	if err == nil {
		err = key.Verify(c.GetNonce(), signature)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", errProof, one.Nkey, err)
	}
	return &nats.User{Username: one.Nkey, Account: one.Account, Permissions: one.Permissions}, nil
}

// isPassword compares a password with one that stands in a configuration, as it is or as bcrypt's
// digest of it.
func isPassword(stands, said string) bool {
	if _, err := bcrypt.Cost([]byte(stands)); err == nil {
		return bcrypt.CompareHashAndPassword([]byte(stands), []byte(said)) == nil
	}
	return subtle.ConstantTimeCompare([]byte(stands), []byte(said)) == 1
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
	if err := g.options.Secure.Refuses(cert); err != nil {
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
