package testkit

import (
	"io"
	"net/http"
	"testing"
)

// Get asks a server for a page, and returns the status and the body of its answer. None ends the
// test.
func Get(t testing.TB, url string) (status int, body string) {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(b)
}
