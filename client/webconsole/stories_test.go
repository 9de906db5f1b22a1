package webconsole_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"quartet/client"
	"quartet/client/quartettest"
	"quartet/client/webconsole"
)

var (
	ruleNumber = regexp.MustCompile(`<span class="number">([^<]*)</span><p>[^<]*</p>(<p class="seen">[^<]*message)?`)
)

// Of a real cluster each request has a story, with the rules of its model, and the messages that
// show them are there.
func TestStoriesOfARealCluster(t *testing.T) {
	cluster := quartettest.Start(t)
	c := start(t, webconsole.Options{Write: true}, cluster.URL)
	for request, want := range map[string]string{
		"1 set": "S1 S2 S4 (A) S4 (B) S5- place-", "2 set": "S1 S2 S4 (A) S4 (B) S5- place-", "2 delete": "S1 S2 S4 (A) S4 (B) S5- place-",
		"1 get": "L1 L2 L3 L4", "1 list": "L1 L2 L3 L4", "2 get": "sequential", "3 set": "causal causal causal-", "3 get": "causal",
		"4 set": "eventual eventual", "4 get": "eventual",
	} {
		m, word, _ := strings.Cut(request, " ")
		sent := c.post("/story", map[string]string{"model": m, "request": word, "key": "colour", "value": "green"}, nil)
		if sent.status != http.StatusSeeOther {
			t.Fatalf("%s: %d %s", request, sent.status, sent.body)
		}
		story := c.get(sent.header.Get("Location"))
		var got []string
		for _, found := range ruleNumber.FindAllStringSubmatch(story.body, -1) {
			number := found[1]
			if found[2] == "" {
				number += "-" // no message shows it
			}
			got = append(got, number)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: rules %v, want %s:\n%s", request, got, want, story.body)
		}

		picture := c.get(sent.header.Get("Location") + ".svg")
		if kind := picture.header.Get("Content-Type"); kind != "image/svg+xml" || !strings.Contains(picture.body, "REQUEST") {
			t.Errorf("%s: a picture of kind %s: %s", request, kind, picture.body)
		}
	}
}

// What others send is caught while it goes by, and no longer.
func TestStoriesAreCaught(t *testing.T) {
	cluster := quartettest.Start(t)
	c := start(t, webconsole.Options{}, cluster.URL)
	if a := c.post("/story/catch", nil, nil); a.status != http.StatusOK || !strings.Contains(a.body, "Nobody has sent a request") {
		t.Errorf("of a silent cluster: %d %s", a.status, a.body)
	}

	others, done := cluster.Client(t), make(chan struct{})
	stop := make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				_, _ = others.Set(t.Context(), fmt.Sprintf("k%d", i), []byte("v"), client.With(client.Eventual))
			}
		}
	}()
	a := c.post("/story/catch", nil, nil)
	close(stop)
	<-done
	if list := c.get("/story").body; a.status != http.StatusSeeOther || strings.Count(list, `<a href="/story/`) < 20 {
		t.Errorf("%d, %d stories", a.status, strings.Count(list, `<a href="/story/`))
	}
}
