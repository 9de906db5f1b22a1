package webconsole

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"time"

	"quartet/bus/secure"
)

// visitor is who asks for something: by a certificate, or, where there are none, whoever is on this
// machine, who may do what the console may.
type visitor struct {
	secure.Visitor
	certified bool
}

// mayWrite reports whether the visitor may change keys, where the console may.
func (v *visitor) mayWrite() bool { return !v.certified || v.Role == secure.Write }

// String is who it is, for the foot of a page; "": whoever is on this machine.
func (v *visitor) String() string {
	if !v.certified {
		return ""
	}
	return v.Name + ", role " + string(v.Role)
}

type visitorKey struct{}

// visitorOf is whose request it is that [Server.known] has let in.
func visitorOf(r *http.Request) *visitor {
	if v, is := r.Context().Value(visitorKey{}).(*visitor); is {
		return v
	}
	return &visitor{certified: true} // nobody has let it in: it may change nothing
}

// known lets in who has a certificate of the cluster's authority, until that ends, and tells
// everyone else why not: nothing of the cluster, and nothing of the console but how it is opened.
func (s *Server) known(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := &visitor{}
		ctx := r.Context()
		if s.o.Secure != nil {
			who, err := s.o.Secure.Visitor(r.TLS, time.Now())
			if err != nil {
				s.o.Log.Warn("the console has refused a browser", "address", r.RemoteAddr, "reason", err)
				http.Error(w, fmt.Sprintf(uncertified, err), http.StatusForbidden)
				return
			}
			v = &visitor{Visitor: who, certified: true}
			var cancel context.CancelFunc
			ctx, cancel = context.WithDeadline(ctx, who.Ends) // a page that is kept up to date ends then, too
			defer cancel()
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(ctx, visitorKey{}, v)))
	})
}

// uncertified says how the console is opened.
const uncertified = `This console is opened with a client's certificate of its cluster, and was not.

%v

Where the cluster's authority is:    quartet secure client DIR NAME --role read
makes a certificate, and:            quartet secure browser DIR/NAME
writes it into a file that a browser imports. Then close the browser, and open this page again.
`

// token is what a page of this visitor brings when it changes something, and no other page has.
func (s *Server) token(v *visitor) string {
	mac := hmac.New(sha256.New, []byte(s.secret))
	mac.Write([]byte(v.ID))
	return hex.EncodeToString(mac.Sum(nil))
}

// mayWrite reports whether a request may change keys; or why not, and what to do about it.
func (s *Server) mayWrite(r *http.Request) (why string, may bool) {
	v := visitorOf(r)
	switch {
	case !s.o.Write:
		return readsOnly, false
	case !v.mayWrite():
		return fmt.Sprintf("the certificate of %s has the role %s, and keys are changed by the role write: "+
			"quartet secure client DIR NAME --role write makes one, quartet secure browser has a browser take it", v.Name, v.Role), false
	}
	return "", true
}

// readsOnly is why a console refuses to write.
const readsOnly = "this console reads only: start it with --write (of a master or node: --console-write) to change keys"
