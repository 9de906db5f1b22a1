package server

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	nats "github.com/nats-io/nats-server/v2/server"

	"github.com/nats-io/nats-server/v2/conf"

	"quartet/bus"
	"quartet/bus/secure"
)

// ErrConfig is wrapped where a configuration says what the embedded server has otherwise.
var ErrConfig = errors.New("bus/server: the NATS configuration")

// taken is what a configuration may say, in the server's own words; everything else is quartet's.
var taken = map[string]bool{
	"accounts": true, "authorization": true, "client_advertise": true, "mappings": true, "maps": true,
	"websocket": true, "ws": true, "mqtt": true, "leaf": true, "leafnodes": true,
	"http": true, "https": true, "http_port": true, "monitor_port": true, "https_port": true, "http_base_path": true,
	"max_control_line": true, "max_payload": true, "max_pending": true, "max_connections": true, "max_conn": true,
	"max_subscriptions": true, "max_subs": true, "max_sub_tokens": true, "max_subscription_tokens": true,
	"max_closed_clients": true, "ping_interval": true, "ping_max": true, "connect_error_reports": true,
	"reconnect_error_reports": true, "server_tags": true, "server_metadata": true,
}

// instead says what does what a configuration asks for in vain.
var instead = map[string]string{
	"listen": "--listen", "host": "--listen", "net": "--listen", "port": "--listen",
	"server_name": "--name", "cluster": "--routes and --join of a node", "tls": "--secure",
	"jetstream": "--dir", "store_dir": "--dir", "storedir": "--dir",
	"operator": "a NATS server of your own (--nats): accounts of JWTs leave no room for quartet's",
	"resolver": "a NATS server of your own (--nats): accounts of JWTs leave no room for quartet's",
	"logfile":  "--log", "log_file": "--log", "debug": "--log-level", "trace": "--log-level",
}

// checkConfig finds what the configuration in the file says that is not for it to say.
func (o *Options) checkConfig() error {
	if o.Config == "" {
		return nil
	}
	said, err := conf.ParseFile(o.Config)
	if err != nil {
		return fmt.Errorf("%w %s: %w", ErrConfig, o.Config, err)
	}
	for _, name := range slices.Sorted(maps.Keys(said)) {
		key := strings.ToLower(name)
		if taken[key] {
			continue
		}
		if how := instead[key]; how != "" {
			return fmt.Errorf("%w %s: %s is not for it to say here: use %s", ErrConfig, o.Config, name, how)
		}
		return fmt.Errorf("%w %s: %s is not for it to say here", ErrConfig, o.Config, name)
	}

	accounts, _ := said["accounts"].(map[string]any)
	for _, name := range []string{AccountNodes, AccountClients} {
		if _, isThere := accounts[name]; isThere {
			return fmt.Errorf("%w %s: the account %s is quartet's own: choose another name", ErrConfig, o.Config, name)
		}
	}
	_, err = o.included(&nats.Options{})
	return err
}

// included has n say what the configuration says, but for its users, which are returned.
func (o *Options) included(n *nats.Options) (u users, err error) {
	if o.Config == "" {
		return u, nil
	}
	if err := n.ProcessConfigFile(o.Config); err != nil {
		return u, fmt.Errorf("%w %s: %w", ErrConfig, o.Config, err)
	}
	isOther := n.Username != "" || n.Authorization != "" || n.AuthCallout != nil
	if isOther {
		return u, fmt.Errorf("%w %s: authorization: name users, as in users: [ { user: a, password: b } ]", ErrConfig, o.Config)
	}

	u.named, u.keys = n.Users, n.Nkeys
	n.Users, n.Nkeys = nil, nil
	if err := o.doors(n); err != nil {
		return u, err
	}
	for _, one := range u.named {
		if o.isOwn(one.Username) {
			return u, fmt.Errorf("%w %s: the user %s is quartet's own: choose another name", ErrConfig, o.Config, one.Username)
		}
		if one.AllowedConnectionTypes != nil {
			return u, fmt.Errorf("%w %s: user %s: allowed_connection_types is not for it to say here", ErrConfig, o.Config, one.Username)
		}
	}
	for _, one := range u.keys {
		if one.AllowedConnectionTypes != nil {
			return u, fmt.Errorf("%w %s: user %s: allowed_connection_types is not for it to say here", ErrConfig, o.Config, one.Nkey)
		}
	}
	return u, nil
}

// isOwn reports whether a user is one of quartet's.
func (o *Options) isOwn(user string) bool {
	return slices.Contains([]string{frontUser, operatorUser, anonymousUser, guestReads, guestWrites, o.NodeUser, defaultNodeUser}, user)
}

// doors finds other ways in, of a configuration, by which somebody would be a node.
func (o *Options) doors(n *nats.Options) error {
	for what, user := range map[string]string{"websocket": n.Websocket.NoAuthUser, "mqtt": n.MQTT.NoAuthUser} {
		if isNamed := user != ""; isNamed && o.isOwn(user) {
			return fmt.Errorf("%w %s: %s: no_auth_user: the user %s is quartet's own: name one of yours", ErrConfig, o.Config, what, user)
		}
	}

	accounts := []string{n.LeafNode.Account}
	for _, one := range n.LeafNode.Users {
		if one.Account != nil {
			accounts = append(accounts, one.Account.Name)
		}
	}
	for _, one := range n.LeafNode.Remotes {
		accounts = append(accounts, one.LocalAccount)
	}
	if slices.Contains(accounts, AccountNodes) {
		return fmt.Errorf("%w %s: leafnodes: the account %s is for nodes alone: a leaf node may join %s", ErrConfig, o.Config,
			AccountNodes, AccountClients)
	}
	return nil
}

// users are those of a configuration.
type users struct {
	named []*nats.User
	keys  []*nats.NkeyUser
}

func (u *users) none() bool { return len(u.named)+len(u.keys) == 0 }

// among has those users who are of no account be clients: they may do what a client of the role
// write may, or what they are allowed by name; never what is the nodes'.
func (u *users) among(o *Options, clients *nats.Account, subjects bus.Subjects, internal string) {
	write := secure.Of(secure.Write, subjects, internal)
	nodes := secure.OfNodesAlone(subjects, internal)
	if o.ClientJetStream {
		write, nodes = write.WithJetStream(), nodes.WithJetStream()
	}
	limited := func(p *nats.Permissions) *nats.Permissions {
		if p == nil {
			p = &nats.Permissions{}
		}
		if p.Publish == nil {
			p.Publish = &nats.SubjectPermission{}
		}
		if p.Subscribe == nil {
			p.Subscribe = &nats.SubjectPermission{}
		}
		deny := nodes.Deny
		if len(p.Publish.Allow) == 0 {
			deny = write.Deny
		}
		p.Publish.Deny = append(p.Publish.Deny, deny...)
		p.Subscribe.Deny = append(p.Subscribe.Deny, nodes.DenyListen...)
		return p
	}

	for _, one := range u.named {
		if one.Account == nil {
			one.Account, one.Permissions = clients, limited(one.Permissions)
		}
	}
	for _, one := range u.keys {
		if one.Account == nil {
			one.Account, one.Permissions = clients, limited(one.Permissions)
		}
	}
}
