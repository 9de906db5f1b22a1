package webconsole

import (
	"crypto/subtle"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
)

// policy is the policy of content of all pages: what they need is of this console, and there is no
// script and no style but in files of their own.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// sealed is the policy of what is shown as it was found: it may have styles of its own, and nothing
// else, and is of no origin.
const sealed = "default-src 'none'; style-src 'unsafe-inline'; sandbox"

// guard lets nobody in but pages of the console itself, and whoever opens one.
//
//   - Where there are certificates, whoever asks must have one: see [Server.known].
//   - The Host must be the console's own: a name of another site that is led to this machine
//     (DNS rebinding) is not.
//   - What another site's page asks for is refused, but for opening a page: a link may lead here.
//   - What is posted must come from a page of this console ([http.CrossOriginProtection]) and bring
//     the token that only its pages have.
func (s *Server) guard(next http.Handler) http.Handler {
	posts := http.NewCrossOriginProtection()
	next = posts.Handler(s.tokened(next))

	return s.known(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")

		switch {
		case !s.isOurs(r.Host):
			http.Error(w, "this console is at "+s.URL(), http.StatusMisdirectedRequest)
		case isForeign(r):
			http.Error(w, "a page of another site may not ask for this", http.StatusForbidden)
		default:
			next.ServeHTTP(w, r)
		}
	}))
}

// isOurs reports whether a Host names this console: by what its certificate is for, or, where it
// has none, as this machine.
func (s *Server) isOurs(host string) bool {
	name, port, err := net.SplitHostPort(host)
	if err != nil {
		name, port = strings.Trim(host, "[]"), s.usualPort()
	}
	_, own, _ := net.SplitHostPort(s.addr.String())
	if s.o.Secure != nil {
		return port == own && s.o.Secure.Names(name)
	}
	ip := net.ParseIP(name)
	isAddress := ip != nil && ip.IsLoopback()
	isLoopback := name == "localhost" || isAddress
	return port == own && isLoopback
}

// usualPort is what a Host without a port means.
func (s *Server) usualPort() string {
	if s.o.Secure != nil {
		return "443"
	}
	return "80"
}

// isForeign reports whether a page of another site asks, for more than to open a page.
func isForeign(r *http.Request) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	if site != "cross-site" && site != "same-site" {
		return false
	}
	opens := r.Method == http.MethodGet && r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document"
	return !opens
}

// tokened refuses what changes something and does not bring the token.
func (s *Server) tokened(next http.Handler) http.Handler {
	safe := []string{http.MethodGet, http.MethodHead}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if slices.Contains(safe, r.Method) {
			next.ServeHTTP(w, r)
			return
		}

		r.Body = http.MaxBytesReader(w, r.Body, bodyBytes)
		var tooLarge *http.MaxBytesError
		switch err := readForm(r); {
		case errors.As(err, &tooLarge):
			http.Error(w, "what is sent is too large: a value has at most 512 KiB, with its key", http.StatusRequestEntityTooLarge)
			return
		case err != nil:
			http.Error(w, "the form cannot be read: "+err.Error(), http.StatusBadRequest)
			return
		}
		if subtle.ConstantTimeCompare([]byte(r.PostForm.Get("token")), []byte(s.token(visitorOf(r)))) != 1 {
			http.Error(w, "the page is of an earlier console: load it again", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// readForm reads a form, in either of the two ways in which pages send one.
func readForm(r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return err
	}
	err := r.ParseMultipartForm(bodyBytes)
	if errors.Is(err, http.ErrNotMultipart) {
		return nil
	}
	return err
}
