package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"quartet/client"
)

// The examples expect a cluster at this address: quartet master --memory. In the tests
// it is where the examples' cluster listens.
var url = "nats://127.0.0.1:4222"

// A linearizable set takes effect at one moment between request and reply, and every
// linearizable get that begins later sees it.
func Example_linearizable() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := client.Connect(ctx, url, client.WithName("Client1"))
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
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
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := client.Connect(ctx, url)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
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
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := client.Connect(ctx, url)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
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
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := client.Connect(ctx, url)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
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

// What to do with each error.
func Example_errors() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := client.Connect(ctx, url)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	_, err = c.Get(ctx, "a key that nobody has set")
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
