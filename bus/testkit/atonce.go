package testkit

import (
	"flag"
	"runtime"
	"strconv"
)

// AtOnce has at least n of a package's parallel tests run at the same time, on fewer processors,
// too, unless -parallel says otherwise. It is for TestMain of a package whose tests wait for most
// of their time: for processes, for elections, for what a server's clock ends.
func AtOnce(n int) error {
	flag.Parse()
	isGiven := false
	flag.Visit(func(f *flag.Flag) { isGiven = isGiven || f.Name == "test.parallel" })
	if isGiven || runtime.GOMAXPROCS(0) >= n {
		return nil
	}
	return flag.Set("test.parallel", strconv.Itoa(n))
}
