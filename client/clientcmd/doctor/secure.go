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
	for _, try := range []struct {
		what    string
		subject string
		body    string
		may     bool
	}{
		{"request", subjects.Request(), "nothing", role == secure.Write},
		{"read", subjects.Read(), "nothing", true},
		{"operate", subjects.Lead(), "nothing", role == secure.Operate},
		{"speak as a node", strings.TrimSuffix(subjects.OfNodes(), ">") + nobodys, "", false},
	} {
		_, verdict := d.may(ctx, nc, &nats.Msg{Subject: try.subject, Data: []byte(try.body)})
		switch {
		case verdict == isRefused && try.may:
			amiss = append(amiss, fmt.Sprintf("it may not %s (%s)", try.what, try.subject))
		case verdict == isAllowed && !try.may:
			amiss = append(amiss, fmt.Sprintf("it may %s (%s)", try.what, try.subject))
		}
	}
	if len(amiss) > 0 {
		d.finding("role", fmt.Sprintf("%s has the role %s, and the server gives it another: %s", c.Subject.CommonName, role,
			strings.Join(amiss, ", ")),
			"start the servers with --secure, or give yours what quartet secure nats-config prints")
		return
	}
	d.ok("role", "%s: it may do what that needs, and no more", role)
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
