package server

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"

	nats "github.com/nats-io/nats-server/v2/server"

	"quartet/bus"
	"quartet/bus/host/room"
	"quartet/bus/secure"
)

// Errors of [Start].
var (
	ErrListen    = errors.New("bus/server: bad listen address")
	ErrPortTaken = errors.New("bus/server: port is taken")
	ErrInsecure  = errors.New("bus/server: refusing to listen beyond this machine without credentials and TLS")
	ErrStart     = errors.New("bus/server: cannot start")
)

// DefaultListen is the address unless told otherwise.
const DefaultListen = "127.0.0.1:4222"

// The accounts.
const (
	AccountClients = "CLIENTS"
	AccountNodes   = "NODES"
)

const (
	defaultNodeUser = "quartet-node"
	anonymousUser   = "quartet-anonymous"  // what a connection without credentials is taken for
	frontUser       = bus.FrontUser        // the nodes among the clients
	operatorUser    = "quartet-operator"   // may remove and recover where everybody is let in
	guestReads      = "quartet-guest-read" // of this process, for who has proved to it a role
	guestWrites     = "quartet-guest-write"

	// writeDeadline is how long a client that doesn't read may hold up others before it
	// is cut off (NATS: 10 s).
	writeDeadline = 2 * time.Second

	// maxStore is no limit: the disk is one. The server's own, three quarters of what is free
	// when it starts, would refuse the record of the views for ever after a start on a full disk.
	maxStore = 1 << 60

	// clientShare: clients' streams may hold this part of the disk, whatever is free at the start.
	// So they alone cannot take the room that the record of the views and the replicas need.
	clientShare = 2

	startTimeout = 10 * time.Second // unless the context ends sooner
)

// Options are the options of a server. The zero value listens on [DefaultListen] and keeps
// JetStream's streams in a temporary directory that Shutdown removes.
type Options struct {
	Listen            string           // HOST:PORT; port -1 (or 0) picks a free one
	StoreDir          string           // of JetStream; "": temporary
	NodeUser          string           // "": quartet-node
	NodePassword      string           // "": random. Give the same again to let replicas outlive the master
	ClientUser        string           // "": clients need no credentials
	ClientPassword    string           // of ClientUser
	TLS               *tls.Config      // nil: none
	Secure            *secure.Identity // who this server is, and whose clients it lets in; it excludes ClientUser and TLS
	Config            string           // FILE of a nats-server's configuration: its users, and what quartet does not say itself
	Prefix            string           // of the subjects; "": [bus.DefaultPrefix]
	MaxPayload        int32            // bytes of a message; 0: NATS's own, 1 MiB
	AllowInsecureBind bool             // listen beyond loopback without credentials and TLS
	ClientJetStream   bool             // let clients ask for JetStream, too: they may then have a stream take any subject
	Cluster           *Cluster         // nil: the server stands alone
	Log               *slog.Logger
}

// Cluster says with which other embedded servers one forms a NATS cluster.
type Cluster struct {
	Name   string   // of this server among them
	Listen string   // HOST:PORT for the others' routes; port -1 (or 0) picks a free one
	Routes []string // HOST:PORT of the others, or of some; they tell each other of the rest
}

// withDefaults fills in what was left out.
func (o Options) withDefaults() Options {
	if o.Listen == "" {
		o.Listen = DefaultListen
	}
	if o.NodeUser == "" {
		o.NodeUser = defaultNodeUser
	}
	if o.NodePassword == "" {
		o.NodePassword = rand.Text()
	}
	if o.Prefix == "" {
		o.Prefix = bus.DefaultPrefix
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// address splits and checks Listen. Port 0 stands for any free port. An address beyond loopback
// needs credentials and TLS, or AllowInsecureBind.
func (o *Options) address(ctx context.Context) (host string, port int, err error) {
	host, portText, err := net.SplitHostPort(o.Listen)
	if err != nil {
		return "", 0, fmt.Errorf("%w %q: want HOST:PORT, as in %s: %w", ErrListen, o.Listen, DefaultListen, err)
	}

	port, err = strconv.Atoi(portText)
	if err != nil || port < -1 || port > 65535 {
		return "", 0, fmt.Errorf("%w %q: want a port from 1 to 65535, or -1 for a free one", ErrListen, o.Listen)
	}

	loopback, err := isLoopback(ctx, host)
	if err != nil {
		return "", 0, fmt.Errorf("%w %q: %w", ErrListen, o.Listen, err)
	}
	if o.Cluster != nil {
		routes, err := o.Cluster.loopback(ctx)
		if err != nil {
			return "", 0, err
		}
		loopback = loopback && routes
	}

	hasUsers := o.ClientUser != "" && o.ClientPassword != "" && o.TLS != nil
	secured := hasUsers || o.Secure != nil
	if !loopback && !secured && !o.AllowInsecureBind {
		return "", 0, fmt.Errorf("%w: %s (make certificates with quartet secure, and name this machine's with --secure;"+
			" or listen on 127.0.0.1; or run a NATS server that has users and TLS, and name it with --nats;"+
			" or let everybody in who reaches the port: --allow-insecure-bind)",
			ErrInsecure, o.Listen)
	}
	return host, max(port, 0), nil
}

// hasUsers reports whether the configuration names users.
func (o *Options) hasUsers() bool {
	u, err := o.included(&nats.Options{})
	return err == nil && !u.none()
}

// open reports whether a server on host lets everybody in who reaches it from beyond this
// machine.
func (o *Options) open(host string) bool {
	loopback, err := isLoopback(context.Background(), host)
	beyond := err != nil || !loopback
	isAsked := o.ClientUser != "" || o.Secure != nil || o.hasUsers()
	return beyond && !isAsked
}

// isLoopback reports whether every address of host is one of this machine's own loop.
// An empty host is all addresses.
func isLoopback(ctx context.Context, host string) (bool, error) {
	if host == "" {
		return false, nil
	}
	if ip := net.ParseIP(host); ip != nil {
		return ip.IsLoopback(), nil
	}
	ips, err := net.DefaultResolver.LookupIPAddr(ctx, host)
	if err != nil {
		return false, err
	}
	for _, ip := range ips {
		if !ip.IP.IsLoopback() {
			return false, nil
		}
	}
	return len(ips) > 0, nil
}

// natsOptions returns the server's configuration. Accounts are configured from text, the only way
// to give them imports and JetStream before the server exists; users are not, so that no password
// has to be quoted.
func (o *Options) natsOptions(host string, port int, storeDir string) (*nats.Options, error) {
	subjects, err := bus.NewSubjects(o.Prefix)
	if err != nil {
		return nil, err
	}
	internal := subjects.OfNodes()
	isTwice := o.ClientUser != "" && o.Config != ""
	if isTwice {
		return nil, fmt.Errorf("%w: users are named by the configuration", ErrStart)
	}
	if o.ClientUser == o.NodeUser {
		return nil, fmt.Errorf("%w: clients and nodes cannot share the user %q", ErrStart, o.NodeUser)
	}
	n := &nats.Options{}
	configured, err := o.included(n)
	if err != nil {
		return nil, err
	}
	account, err := o.accounts(n, internal, storeDir)
	if err != nil {
		return nil, err
	}
	users := o.users(host, account, subjects, internal)
	configured.among(o, account[AccountClients], subjects, internal)
	isGuarded := o.Secure != nil || !configured.none()
	switch {
	case isGuarded:
		g := newGuard(o, users[1:], subjects, internal)
		g.configured = configured
		n.CustomClientAuthentication, n.AlwaysEnableNonce = g, len(configured.keys) > 0
	case o.ClientUser == "":
		n.Users, n.NoAuthUser = users, anonymousUser
	default:
		n.Users = users
	}

	n.ServerName = "quartet"
	n.Host, n.Port = host, port
	if port == 0 {
		n.Port = nats.RANDOM_PORT
	}
	if host == "" {
		n.Host = "0.0.0.0"
	}

	n.JetStream, n.StoreDir, n.DisableJetStreamBanner = true, storeDir, true
	n.JetStreamMaxStore = maxStore
	n.NoSigs = true
	if o.MaxPayload > 0 {
		n.MaxPayload = o.MaxPayload
	}
	n.WriteDeadline = writeDeadline

	if o.Cluster != nil {
		if err := o.Cluster.configure(n); err != nil {
			return nil, err
		}
	}
	o.encrypt(n)
	return n, nil
}

// encrypt has clients, and the servers of other nodes, use TLS where the options say so.
func (o *Options) encrypt(n *nats.Options) {
	if o.TLS != nil {
		n.TLS, n.TLSConfig, n.TLSTimeout = true, o.TLS.Clone(), startTimeout.Seconds()
	}
	if o.Secure == nil {
		return
	}
	n.TLS, n.TLSConfig, n.TLSTimeout = true, o.Secure.Server(o.hasUsers()), startTimeout.Seconds()
	n.TLSVerify = !o.hasUsers()
	if o.Cluster != nil {
		n.Cluster.TLSConfig, n.Cluster.TLSTimeout = o.Secure.Routes(), routeTLS.Seconds()
	}
}

// accounts configures the accounts of n, of which clients import the subjects internal from
// nodes, and returns them by name.
func (o *Options) accounts(n *nats.Options, internal, storeDir string) (map[string]*nats.Account, error) {
	disk, err := room.Look(storeDir)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrStart, err)
	}
	clientJetStream := fmt.Sprintf("{ max_file: %d }", disk.Total/clientShare)
	accounts := fmt.Sprintf(`accounts {
		%[1]s { jetstream: enabled, exports: [ { stream: %[3]q } ] }
		%[2]s { jetstream: %[4]s, imports: [ { stream: { account: %[1]s, subject: %[3]q } } ] }
	}`, AccountNodes, AccountClients, internal, clientJetStream)
	if err := n.ProcessConfigString(accounts); err != nil {
		return nil, fmt.Errorf("%w: accounts: %w", ErrStart, err)
	}

	byName := make(map[string]*nats.Account)
	for _, a := range n.Accounts {
		byName[a.Name] = a
	}
	return byName, nil
}

// users returns the users of a server on host: first clients, then those of the nodes, which are
// the master among its clients, the operator, nodes, and guests of this process.
func (o *Options) users(host string, account map[string]*nats.Account, subjects bus.Subjects, internal string) []*nats.User {
	alone := secure.OfNodesAlone(subjects, internal)
	if o.ClientJetStream {
		// The account has JetStream for the watches of buckets, too; else clients ask for it at
		// quartet's door alone.
		alone = alone.WithJetStream()
	}
	client := &nats.User{
		Username: o.ClientUser, Password: o.ClientPassword, Account: account[AccountClients],
		// It could not reach a node anyway; this keeps it from pretending to listeners.
		Permissions: &nats.Permissions{
			Publish: &nats.SubjectPermission{Deny: alone.Deny}, Subscribe: &nats.SubjectPermission{Deny: alone.DenyListen},
		},
	}
	if o.open(host) {
		// Nobody has proved who they are: what an operator does takes the nodes' password.
		client.Permissions.Publish.Deny = append(client.Permissions.Publish.Deny, subjects.Recover(), subjects.Remove(), subjects.Lead())
	}
	if o.ClientUser == "" {
		client.Username, client.Password = anonymousUser, ""
	}

	guest := func(name string, role secure.Role) *nats.User {
		p := secure.Of(role, subjects, internal)
		return &nats.User{
			Username: name, Password: o.NodePassword, Account: account[AccountClients],
			Permissions: &nats.Permissions{
				Publish: &nats.SubjectPermission{Allow: p.Publish, Deny: p.Deny}, Subscribe: &nats.SubjectPermission{Deny: p.DenyListen},
			},
		}
	}
	return []*nats.User{
		client,
		{Username: frontUser, Password: o.NodePassword, Account: account[AccountClients]},
		{Username: operatorUser, Password: o.NodePassword, Account: account[AccountClients]},
		{Username: o.NodeUser, Password: o.NodePassword, Account: account[AccountNodes]},
		guest(guestReads, secure.Read), guest(guestWrites, secure.Write),
	}
}
