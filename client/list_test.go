package client_test

import (
	"errors"
	"testing"

	"quartet/client"
	"quartet/client/quartettest"
)

// A list tells each key once, in order, over several pages, in every model, within a session too; a
// loop that is left ends it, and a page that is asked for by itself says where the next one begins.
func TestList(t *testing.T) {
	cluster := quartettest.Start(t)
	c := cluster.Client(t)
	for _, key := range []string{"a/3", "a/1", "b", "a/2", "a/4", "a/5"} {
		if _, err := c.Set(t.Context(), key, []byte("v"+key)); err != nil {
			t.Fatal(err)
		}
	}

	for _, m := range []client.Consistency{client.Linearizable, client.Sequential, client.Causal, client.Eventual} {
		for name, list := range map[string]func(...client.RequestOption) []string{
			"client": func(o ...client.RequestOption) (all []string) {
				for x, err := range c.List(t.Context(), "a/", o...) {
					if err != nil {
						t.Fatal(err)
					}
					all = append(all, x.Key+string(x.Value))
				}
				return all
			},
			"session": func(o ...client.RequestOption) (all []string) {
				s := c.Session()
				if _, err := s.Get(t.Context(), "b", client.With(m)); err != nil {
					t.Fatal(err)
				}
				for x, err := range s.List(t.Context(), "a/", o...) {
					if err != nil {
						t.Fatal(err)
					}
					all = append(all, x.Key+string(x.Value))
				}
				return all
			},
		} {
			got := list(client.With(m), client.WithValues(), client.WithPage(2))
			want := []string{"a/1va/1", "a/2va/2", "a/3va/3", "a/4va/4", "a/5va/5"}
			if len(got) != len(want) || got[0] != want[0] || got[4] != want[4] {
				t.Errorf("%s, %s: %v", m.Word(), name, got)
			}
		}
	}

	n := 0
	for range c.List(t.Context(), "", client.WithPage(1)) {
		if n++; n == 2 {
			break
		}
	}
	for _, err := range c.List(t.Context(), "a:::b") {
		if !errors.Is(err, client.ErrMalformed) {
			t.Errorf("a prefix that cannot be: %v", err)
		}
	}

	r := client.Request{}
	r.Request.Model, r.Request.Type = client.Linearizable, client.TypeList
	client.WithPage(4)(&r)
	first, err := c.Do(t.Context(), r)
	if err != nil || first.Next == "" {
		t.Fatalf("%+v, %v", first, err)
	}
	client.FromPage(first.Next)(&r)
	rest, err := c.Do(t.Context(), r)
	page, unread := rest.Page()
	if err != nil || unread != nil || len(page.Items) != 2 || page.Items[1].Key != "b" || page.Next != "" {
		t.Errorf("%+v, %v, %v", page, err, unread)
	}
}
