package doctor

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/secure"
)

// renewal is what to do about a certificate that ends.
const renewal = "make it anew where the authority is (quartet secure renew) and bring the files here: they are taken " +
	"without a restart"

// lookAtOwnCertificate says whose the certificate is with which we connect, and until when.
func (d *doctor) lookAtOwnCertificate() {
	file := d.settings.Certificate()
	if file == "" {
		return
	}
	c, err := secure.Certificate(file)
	if err != nil {
		d.finding("certificate", err.Error(), "give another --tlscert, or mend the file")
		return
	}
	if until, ends := d.ends("certificate", "our own, "+file+", of "+c.Subject.CommonName, c); !ends {
		role, err := secure.RoleOf(c)
		if err != nil {
			d.ok("certificate", "%s, of another authority than quartet secure's, until %s", c.Subject.CommonName, until)
			return
		}
		d.ok("certificate", "%s, role %s, until %s", c.Subject.CommonName, role, until)
	}
	d.lookAtBrowsers(file)
}

// lookAtBrowsers finds that what a browser was given of our certificate is of the one before.
func (d *doctor) lookAtBrowsers(certificate string) {
	file := filepath.Join(filepath.Dir(certificate), secure.BrowserFile)
	browsers, err := os.Stat(file)
	if err != nil {
		return // no browser was given any
	}
	own, err := os.Stat(certificate)
	if err == nil && own.ModTime().After(browsers.ModTime()) {
		d.note("browser", file+" is older than the certificate beside it: the console refuses it when the one before ends",
			"make it anew, and have the browser take it: quartet secure browser "+filepath.Dir(certificate))
	}
}

// ends finds a certificate that is not valid, or not for long.
func (d *doctor) ends(what, whose string, c *x509.Certificate) (until string, ends bool) {
	until = c.NotAfter.UTC().Format(time.RFC3339)
	if err := secure.Valid(c, time.Now()); err != nil {
		d.finding(what, fmt.Sprintf("%s: %v", whose, err), renewal)
		return until, true
	}
	if left := time.Until(c.NotAfter); left < secure.Soon {
		d.finding(what, fmt.Sprintf("%s: it ends in %.1f days, at %s: nobody connects with it then", whose, left.Hours()/24, until),
			renewal)
		return until, true
	}
	return until, false
}

// lookAtCertificates looks at those of the servers that are known, one by one.
func (d *doctor) lookAtCertificates(ctx context.Context, nc *nats.Conn) {
	state, err := nc.TLSConnectionState()
	if err != nil {
		d.lookAtOpenness(nc)
		return
	}
	c := state.PeerCertificates[0]
	if until, ends := d.ends("TLS", "the server at "+nc.ConnectedAddr(), c); !ends {
		d.ok("TLS", "the server's certificate is of %s, until %s", c.Subject.CommonName, until)
	}

	connected := nc.ConnectedAddr()
	for _, server := range nc.Servers() {
		u, err := url.Parse(server)
		if err != nil || u.Host == connected {
			continue
		}
		d.lookAtOther(ctx, u)
	}
}

// lookAtOther looks at the certificate of a server that we are not connected to.
func (d *doctor) lookAtOther(ctx context.Context, u *url.URL) {
	ctx, cancel := context.WithTimeout(ctx, asideLimit)
	defer cancel()
	o := d.settings.Options("quartet doctor", nil)
	connect := o.Connect
	o.Connect = func(options ...nats.Option) (*nats.Conn, error) {
		return connect(append(slices.Clone(options), func(all *nats.Options) error {
			all.Url, all.Servers = u.String(), []string{u.String()}
			return nil
		})...)
	}

	nc, err := bus.Dial(ctx, o)
	switch {
	case err == nil:
	case strings.Contains(err.Error(), "x509:"), strings.Contains(err.Error(), "tls:"):
		d.finding("TLS", fmt.Sprintf("the server at %s: %v", u.Host, err),
			"give that machine a certificate of this authority for the address at which it is reached: quartet secure node")
		return
	case errors.Is(err, nats.ErrAuthorization):
		d.finding("TLS", fmt.Sprintf("the server at %s does not let us in: %v", u.Host, err),
			"give all servers of a cluster certificates of one authority")
		return
	default:
		d.note("TLS", fmt.Sprintf("the certificate of the server at %s is not known: %v", u.Host, err),
			"that server is away: what is said of the cluster and its replicas below tells more")
		return
	}
	defer nc.Close()

	if state, err := nc.TLSConnectionState(); err == nil {
		c := state.PeerCertificates[0]
		if until, ends := d.ends("TLS", "the server at "+u.Host, c); !ends {
			d.ok("TLS", "the certificate of the server at %s is of %s, until %s", u.Host, c.Subject.CommonName, until)
		}
	}
}

// lookAtRole proves that the server lets us do what the role in our certificate says, and no more.
// What is asked has no effect where it is let through.
func (d *doctor) lookAtRole(ctx context.Context, nc *nats.Conn) {
	c, err := secure.Certificate(d.settings.Certificate())
	if err != nil {
		return // there is none, or it has been said
	}
	role, err := secure.RoleOf(c)
	subjects, serr := bus.NewSubjects(d.conn.Prefix)
	if err != nil || serr != nil || role == secure.Node {
		return
	}

	var amiss []string
	judge := func(what, subject string, v verdict, may bool) {
		switch {
		case v == isRefused && may:
			amiss = append(amiss, fmt.Sprintf("it may not %s (%s)", what, subject))
		case v == isAllowed && !may:
			amiss = append(amiss, fmt.Sprintf("it may %s (%s)", what, subject))
		}
	}
	for _, try := range triesOf(role, subjects) {
		_, v := d.may(ctx, nc, &try.m)
		judge(try.what, try.m.Subject, v, try.may)
	}
	group := subjects.Masters()
	judge("hear requests in place of the masters", "the queue group "+group, d.mayJoin(ctx, nc, subjects.Prefix()+"."+nobodys, group), false)
	if len(amiss) > 0 {
		d.finding("role", fmt.Sprintf("%s has the role %s, and the server gives it another: %s", c.Subject.CommonName, role,
			strings.Join(amiss, ", ")),
			"start the servers with --secure, or give yours what quartet secure nats-config prints")
		return
	}
	d.ok("role", "%s: it may do what that needs, and no more", role)
}

// try is something that a role may do, or may not.
type try struct {
	what string
	m    nats.Msg
	may  bool
}

// triesOf are what a role is tried with: each has no effect where it is let through.
func triesOf(role secure.Role, s bus.Subjects) []try {
	writes, operates := role == secure.Write, role == secure.Operate
	said := func(subject string) nats.Msg { return nats.Msg{Subject: subject, Data: []byte("nothing")} }
	elsewhere := nats.Msg{Subject: s.Buckets() + "$KV." + nobodys + "." + nobodys, Header: nats.Header{nats.ExpectedStreamHdr: {isNoBucket + "-2"}}}
	return []try{
		// What clients say to the cluster.
		{"request", said(s.Request()), writes},
		{"request many at once", said(s.Batch()), writes},
		{"read", said(s.Read()), true},
		{"ask for the status", said(s.Status()), true},
		{"acknowledge a watch", said(strings.TrimSuffix(s.FlowsOfAll(), ">") + nobodys), true},
		{"ask about buckets", nats.Msg{Subject: s.Buckets() + "INFO"}, true},
		{"put into buckets", elsewhere, writes},

		// What an operator says.
		{"recover", said(s.Recover()), operates},
		{"remove a replica", said(s.Remove()), operates},
		{"have another master lead", said(s.Lead()), operates},

		// What nobody says but nodes.
		{"speak as a node", nats.Msg{Subject: strings.TrimSuffix(s.OfNodes(), ">") + nobodys}, false},
		{"tell streams of buckets", nats.Msg{Subject: s.Shadow() + nobodys}, false},
	}
}

// mayJoin subscribes in a queue group, to a subject on which nobody publishes, and says whether the
// server lets us.
func (d *doctor) mayJoin(ctx context.Context, nc *nats.Conn, subject, group string) verdict {
	ctx, cancel := d.aside(ctx, asideLimit)
	defer cancel()
	d.mu.Lock()
	d.trying, d.tryRefused = subject, false
	d.mu.Unlock()

	var sub *nats.Subscription
	err := bus.Listen(nc, func() (err error) {
		sub, err = nc.QueueSubscribeSync(subject, group)
		return err
	})
	if errors.Is(err, bus.ErrPermission) {
		<-ctx.Done() // until the connection's handler has heard it, too
	}
	if sub != nil {
		_ = sub.Unsubscribe() // one that was refused is none
	}

	d.mu.Lock()
	defer d.mu.Unlock()
	d.trying = ""
	switch {
	case errors.Is(err, bus.ErrPermission):
		return isRefused
	case err != nil:
		return isSilent
	}
	return isAllowed
}

// lookAtOpenness notes that what is said can be heard on the way.
func (d *doctor) lookAtOpenness(nc *nats.Conn) {
	host, _, err := net.SplitHostPort(nc.ConnectedAddr())
	isLocal := err != nil || net.ParseIP(host).IsLoopback()
	if !isLocal {
		d.note("TLS", "what is said between here and "+nc.ConnectedAddr()+" is not encrypted",
			"quartet secure makes certificates; a node or a master takes them with --secure")
	}
}
