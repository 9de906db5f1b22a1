package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"quartet/bus"
	"quartet/bus/bustest"
)

// selfSigned returns a server's and a client's configuration for 127.0.0.1.
func selfSigned(t *testing.T) (server, client *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "quartet"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(certificate)
	server = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	return server, &tls.Config{RootCAs: roots}
}

func TestTLSAndCredentialsAllowAnyAddress(t *testing.T) {
	serverTLS, clientTLS := selfSigned(t)
	s := start(t, Options{Listen: "0.0.0.0:-1", ClientUser: "app", ClientPassword: "pw", TLS: serverTLS})
	if !strings.HasPrefix(s.ClientURL(), "tls://") {
		t.Errorf("URL %s", s.ClientURL())
	}
	client := bustest.Dial(t, bus.DialOptions{URL: s.ClientURL(), User: "app", Password: "pw", TLS: clientTLS})
	if _, err := client.TLSConnectionState(); err != nil {
		t.Errorf("no TLS: %v", err)
	}
	bustest.Dial(t, bus.DialOptions{URL: s.NodeURL(), TLS: clientTLS})
	if nc, err := bus.Dial(t.Context(), bus.DialOptions{URL: s.ClientURL(), User: "app", Password: "pw"}); err == nil {
		nc.Close()
		t.Error("a certificate of an unknown authority was believed")
	}
	user, password := s.NodeCredentials()
	bustest.Dial(t, bus.DialOptions{InProcess: s.InProcess(), User: user, Password: password})
}
