package quartettest_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"testing"
	"time"

	"quartet/client"
	"quartet/client/quartettest"
)

// url is of the cluster that all examples of the package share.
var url string

func TestMain(m *testing.M) {
	os.Exit(quartettest.Run(m, func(c *quartettest.Cluster) { url = c.URL }))
}

// One cluster for a whole package, by its TestMain. A test that wants one of its own calls
// Start: c := quartettest.Start(t).Client(t).
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := client.Connect(ctx, url)
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
