package movecmd

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"quartet/client/dump"
)

// etcdSource reads from an etcd through its JSON gateway: a client of etcd's own protocol would
// bring all of gRPC along, for one command.
type etcdSource struct {
	http   *http.Client
	base   string               // URL, without a path
	prefix string               // keys that begin with it are read
	token  string               // of the session; "": without a password
	leases map[string]time.Time // lease → when it ends; zero: it has ended, or never will
}

// fromEtcd connects to the etcd at a URL whose path is the prefix of the keys to read. If the URL
// has a user and a password, it signs in.
func fromEtcd(ctx context.Context, u *url.URL) (source, error) {
	scheme := "http"
	if u.Scheme == "etcds" {
		scheme = "https"
	}
	s := &etcdSource{
		http: &http.Client{Timeout: silence}, base: scheme + "://" + u.Host, prefix: path(u), leases: map[string]time.Time{},
	}

	password, isGiven := u.User.Password()
	if !isGiven {
		return s, nil
	}

	var told struct {
		Token string `json:"token"`
	}
	ask := map[string]string{"name": u.User.Username(), "password": password}
	if err := s.ask(ctx, "/v3/auth/authenticate", ask, &told); err != nil {
		return nil, err
	}
	s.token = told.Token
	return s, nil
}

func (s *etcdSource) close() { s.http.CloseIdleConnections() }

// mostAnswer bounds an answer, in bytes: of a page of values as large as etcd takes by itself.
const mostAnswer = 2 << 30

// ask sends a request to the gateway, and decodes its answer.
func (s *etcdSource) ask(ctx context.Context, path string, body, answer any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("etcd: %w", err)
	}

	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.base+path, bytes.NewReader(b))
	if err != nil {
		return fmt.Errorf("etcd: %w", err)
	}
	r.Header.Set("Content-Type", "application/json")
	if s.token != "" {
		r.Header.Set("Authorization", s.token)
	}

	reply, err := s.http.Do(r)
	if err != nil {
		return fmt.Errorf("etcd: %w", err)
	}
	defer reply.Body.Close()

	b, err = io.ReadAll(io.LimitReader(reply.Body, mostAnswer))
	if err != nil {
		return fmt.Errorf("etcd: %w", err)
	}

	if reply.StatusCode != http.StatusOK {
		var said struct {
			Message string `json:"message"`
		}
		_ = json.Unmarshal(b, &said) // then its status says it
		return fmt.Errorf("etcd at %s: %s %s", s.base, reply.Status, said.Message)
	}

	if err := json.Unmarshal(b, answer); err != nil {
		return fmt.Errorf("etcd at %s: %w", s.base, err)
	}
	return nil
}

// pageOfEtcd is how many keys are asked for at once: with values of 512 KiB an answer stays small
// enough for etcd's gateway, which takes 4 MiB from a client but sends any size.
const pageOfEtcd = 200

// etcdRange is etcd's answer with a range of keys. Numbers of 64 bits stand as text in its JSON.
type etcdRange struct {
	Header struct {
		Revision string `json:"revision"`
	} `json:"header"`
	KVs []struct {
		Key      []byte `json:"key"`
		Value    []byte `json:"value"`
		Revision uint64 `json:"mod_revision,string"`
		Lease    string `json:"lease"`
	} `json:"kvs"`
	More bool `json:"more"`
}

// each reads page by page, all at the revision of the first.
func (s *etcdSource) each(ctx context.Context, give func(dump.Entry) error) error {
	from, revision := []byte(s.prefix), ""
	if len(from) == 0 {
		from = []byte{0} // etcd's name for the first key
	}

	for {
		ask := map[string]any{"key": from, "range_end": behind(s.prefix), "limit": pageOfEtcd}
		if revision != "" {
			ask["revision"] = revision
		}

		var page etcdRange
		if err := s.ask(ctx, "/v3/kv/range", ask, &page); err != nil {
			return err
		}

		revision = page.Header.Revision
		for i := range page.KVs {
			kv := &page.KVs[i]
			e := dump.Entry{Key: string(kv.Key), Value: kv.Value, Revision: kv.Revision}
			over, err := s.end(ctx, kv.Lease, &e)
			if err != nil {
				return err
			}
			if over {
				continue
			}

			if err := fit(&e); err != nil {
				return err
			}
			if err := give(e); err != nil {
				return err
			}
		}

		if !page.More || len(page.KVs) == 0 {
			return nil
		}
		from = append(bytes.Clone(page.KVs[len(page.KVs)-1].Key), 0)
	}
}

// behind is the first key behind all that begin with a prefix; a zero byte, as etcd has it, if
// there is none.
func behind(prefix string) []byte {
	end := []byte(prefix)
	for len(end) > 0 {
		last := len(end) - 1
		if end[last] < 0xff {
			end[last]++
			return end
		}
		end = end[:last]
	}
	return []byte{0}
}

// end gives an entry the time at which its lease ends. over: it has ended already.
func (s *etcdSource) end(ctx context.Context, lease string, e *dump.Entry) (over bool, err error) {
	if lease == "" || lease == "0" {
		return false, nil
	}

	at, known := s.leases[lease]
	if !known {
		var said struct {
			TTL int64 `json:"TTL,string"`
		}
		if err := s.ask(ctx, "/v3/lease/timetolive", map[string]string{"ID": lease}, &said); err != nil {
			return false, err
		}
		if said.TTL > 0 {
			at = time.Now().Add(time.Duration(said.TTL) * time.Second)
		}
		s.leases[lease] = at
	}

	e.Expires = at
	return at.IsZero(), nil
}
