package clientcmd_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"quartet/bus/secure"
	"quartet/bus/secure/securetest"
	"quartet/bus/server/servertest"
	"quartet/bus/testkit"
)

// certified is an authority, and servers and clients with its certificates.
type certified struct {
	t    *testing.T
	root *securetest.Authority
	made int
}

// days is a certificate of a role that is valid for so long.
func (c *certified) days(role secure.Role, days int) *secure.Identity {
	c.t.Helper()
	c.made++
	name := fmt.Sprintf("%s-%d", role, c.made)
	return c.root.Identity(secure.Asked{Name: name, Role: role, For: time.Duration(days) * 24 * time.Hour})
}

// server is one of a cluster of two.
func (c *certified) server(days int, routes ...string) *natsserver.Server {
	c.t.Helper()
	id := c.days(secure.Node, days)
	o := &natsserver.Options{
		TLS: true, TLSVerify: true, TLSConfig: id.Server(false), TLSTimeout: 10,
		Cluster: natsserver.ClusterOpts{Name: "two", Host: "127.0.0.1", Port: natsserver.RANDOM_PORT},
	}
	for _, r := range routes {
		o.Routes = natsserver.RoutesFromStr("nats://" + r)
	}
	return servertest.Start(c.t, o)
}

// A certificate that ends within two weeks is a finding: our own, that of the server that we are
// connected with, and that of another one of its cluster. One that ends later is none.
func TestDoctorFindsCertificatesThatEnd(t *testing.T) {
	c := &certified{t: t, root: securetest.Begin(t)}
	const soon, late = 13, 15
	for i, ends := range [][3]int{{late, late, late}, {soon, late, late}, {late, soon, late}, {late, late, soon}} {
		own := c.days(secure.Read, ends[0])
		first := c.server(ends[1])
		second := c.server(ends[2], first.ClusterAddr().String())
		url := "nats://" + first.Addr().String()
		testkit.Eventually(t, time.Minute, "clients are told of the second", func() error {
			nc, err := nats.Connect(url, nats.Secure(own.Client()))
			if err != nil {
				return err
			}
			defer nc.Close()
			if len(nc.Servers()) < 2 {
				return errors.New("of one alone")
			}
			return nil
		})

		w := world{env: map[string]string{"NATS_URL": url}}
		for _, variable := range own.Environment() {
			name, value, _ := strings.Cut(variable, "=")
			w.env[name] = value
		}
		d, lines := doctor(t, &w)
		for k, what := range []string{
			"certificate: our own", "TLS: the server at " + first.Addr().String(), "TLS: the server at " + second.Addr().String(),
		} {
			isFound := strings.Contains(lines, "finding "+what) && strings.Contains(lines, "it ends in 13.0 days")
			if isFound != (ends[k] == soon) {
				t.Errorf("%d: %q is found: %t\n%s", i, what, isFound, lines)
			}
		}
		for _, check := range d.Checks {
			isEnd := check.State == "finding" && strings.Contains(check.Text, "it ends in")
			if isEnd && !strings.Contains(check.Remedy, "quartet secure renew") {
				t.Errorf("the remedy of %q is %q", check.Text, check.Remedy)
			}
		}
	}
}
