package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/nats-io/nats.go"

	"quartet/client"
)

// The examples expect a cluster at this address: quartet master --memory. In the tests
// it is where the examples' cluster listens.
var url = "nats://127.0.0.1:4222"

// What the other examples share with that of the package: a context with a limit, and a client
// that is connected. TestMain makes both.
var (
	ctx context.Context
	c   *client.Client
)

// Connect, write, read. Without another word requests are linearizable.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := client.Connect(ctx, url, client.WithName("Client1"))
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	if _, err := c.Set(ctx, "greeting", []byte("hello")); err != nil {
		log.Fatal(err)
	}
	got, err := c.Get(ctx, "greeting")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", got.Value)
	// Output: hello
}

// A linearizable set takes effect at one moment between request and reply, and every
// linearizable get that begins later sees it.
func Example_linearizable() {
	if _, err := c.Set(ctx, "balance", []byte("100")); err != nil {
		log.Fatal(err)
	}
	got, err := c.Get(ctx, "balance")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", got.Value)
	// Output: 100
}

// A sequential get may be stale, but a session never sees the order of writes run
// backwards: it sends back the highest position that it has seen.
func Example_sequential() {
	s := c.Session()
	for _, step := range []string{"ordered", "paid", "sent"} {
		if _, err := s.Set(ctx, "order-7", []byte(step), client.With(client.Sequential)); err != nil {
			log.Fatal(err)
		}
	}
	got, err := s.Get(ctx, "order-7", client.With(client.Sequential))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", got.Value)
	// Output: sent
}

// A causal session sees what it wrote and what that depends on. A replica that has not
// caught up refuses, and the client asks another.
func Example_causal() {
	s := c.Session()
	if _, err := s.Set(ctx, "question", []byte("where is the key?"), client.With(client.Causal)); err != nil {
		log.Fatal(err)
	}
	if _, err := s.Set(ctx, "answer", []byte("under the mat"), client.With(client.Causal)); err != nil {
		log.Fatal(err)
	}
	got, err := s.Get(ctx, "answer", client.With(client.Causal))
	if errors.Is(err, client.ErrTooEarly) {
		log.Fatal("no replica has caught up: ask again later")
	}
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", got.Value)
	// Output: under the mat
}

// An eventual get answers at once, from what the replica has: perhaps not yet the last
// write. Here both requests go to one replica, which has what it accepted.
func Example_eventual() {
	eventual, here := client.With(client.Eventual), client.OnReplica("r2")
	if _, err := c.Set(ctx, "likes", []byte("42"), eventual, here); err != nil {
		log.Fatal(err)
	}
	got, err := c.Get(ctx, "likes", eventual, here)
	switch {
	case errors.Is(err, client.ErrNotFound):
		fmt.Println("nothing yet")
	case err != nil:
		log.Fatal(err)
	default:
		fmt.Printf("%s\n", got.Value)
	}
	// Output: 42
}

// A session is passed on as a token: here to a script that speaks to the bus by itself, as
// with "nats req -H 'Quartet-Session: TOKEN' quartet.request '3, 2, cart'", and back.
func ExampleSession_Token() {
	s := c.Session()
	if _, err := s.Set(ctx, "cart", []byte("two apples"), client.With(client.Causal)); err != nil {
		log.Fatal(err)
	}

	script, err := nats.Connect(url)
	if err != nil {
		log.Fatal(err)
	}
	defer script.Close()
	// A get would be answered 425 by a replica that lacks the two apples: then ask again.
	m := &nats.Msg{
		Subject: "quartet.request", Header: nats.Header{"Quartet-Session": {s.Token()}},
		Data: []byte("3, 1, cart ::: three apples"),
	}
	reply, err := script.RequestMsgWithContext(ctx, m)
	if err != nil {
		log.Fatal(err)
	}

	s, err = c.Resume(reply.Header.Get("Quartet-Session"))
	if err != nil {
		log.Fatal(err) // client.ErrToken: it was cut short on its way
	}
	got, err := s.Get(ctx, "cart", client.With(client.Causal))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", got.Value)
	// Output: three apples
}

// A program that is told something by another one joins its session, and sees at least what
// the other had seen when it said so.
func ExampleSession_Join() {
	ann, bob := c.Session(), c.Session()
	if _, err := ann.Set(ctx, "photo", []byte("sea"), client.With(client.Causal)); err != nil {
		log.Fatal(err)
	}
	message := ann.Token() // travels with "look at my photo", by whatever way
	if err := bob.Join(message); err != nil {
		log.Fatal(err)
	}
	got, err := bob.Get(ctx, "photo", client.With(client.Causal))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", got.Value)
	// Output: sea
}

// Many keys at the same time. A missing one is an answer, and no error of the whole.
func ExampleSession_GetMany() {
	s := c.Session()
	for _, planet := range []string{"mercury", "venus", "earth"} {
		if _, err := s.Set(ctx, planet, []byte("rock"), client.With(client.Sequential)); err != nil {
			log.Fatal(err)
		}
	}

	planets := []string{"mercury", "venus", "earth", "pluto"}
	outcomes, err := s.GetMany(ctx, planets, client.With(client.Sequential))
	if err != nil {
		log.Fatal(err)
	}

	for i, o := range outcomes {
		if o.Found {
			fmt.Printf("%s: %s\n", planets[i], o.Value)
		} else {
			fmt.Printf("%s: no value\n", planets[i])
		}
	}
	// Output:
	// mercury: rock
	// venus: rock
	// earth: rock
	// pluto: no value
}

// Several operations at one place in the order, or none of them. Who loses the race for the seat
// learns to whom, in the same step.
func ExampleClient_Txn() {
	buy := func(name string) {
		t := c.Txn().If(client.KeyMissing("seat/7"))
		t.Then().Set("seat/7", []byte(name))
		sold := t.Then().Add("sold", 1)
		owner := t.Else().Get("seat/7")

		done, err := t.Commit(ctx)
		switch {
		case errors.Is(err, client.ErrUnknownOutcome):
			log.Fatal("it may be done: a further t.Commit asks, and never does it twice")
		case err != nil:
			log.Fatal(err)
		case done.Succeeded:
			fmt.Printf("%s has it, %d sold\n", name, sold.Sum)
		default:
			fmt.Printf("%s is late: %s has it\n", name, owner.Value)
		}
	}
	buy("ann")
	buy("bob")
	// Output:
	// ann has it, 1 sold
	// bob is late: ann has it
}

// What to do with each error.
func Example_errors() {
	_, err := c.Get(ctx, "a key that nobody has set")
	var failed *client.Error
	switch {
	case err == nil:
		fmt.Println("found")
	case errors.Is(err, client.ErrNotFound):
		fmt.Println("no value")
	case errors.Is(err, client.ErrUnknownOutcome) && errors.As(err, &failed):
		fmt.Println("may have happened: send it again with client.WithID", failed.ID)
	default: // definite: it had no effect
		fmt.Println(err)
	}
	// Output: no value
}
