package peers

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// KeepFailures adds failures to a file of JSON lines, and returns all that it holds then.
func KeepFailures(file string, list []Failure) (all []Failure, err error) {
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return list, fmt.Errorf("peers: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()

	for in := json.NewDecoder(f); ; {
		var one Failure
		err := in.Decode(&one)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return list, fmt.Errorf("peers: %s: %w", file, err)
		}
		all = append(all, one)
	}

	var lines bytes.Buffer
	out := json.NewEncoder(&lines)
	for _, one := range list {
		if err := out.Encode(one); err != nil {
			return list, fmt.Errorf("peers: %w", err)
		}
	}
	if _, err := f.Write(lines.Bytes()); err != nil {
		return list, fmt.Errorf("peers: %w", err)
	}
	return append(all, list...), nil
}

// FailureTable is a table for people: what clients saw of each system, by whose machine was killed.
func FailureTable(list []Failure) string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "system\tkilled\ttimes\tlongest gap of a client\tof the median client\tof all clients")
	for _, system := range FailoverSystems() {
		for _, victim := range []string{VictimLeader, VictimOther} {
			some := slices.DeleteFunc(slices.Clone(list), func(f Failure) bool { return f.System != system || f.Victim != victim })
			if len(some) == 0 {
				continue
			}
			fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s\n", system, victim, len(some),
				spreadOf(some, func(f *Failure) time.Duration { return f.Worst }),
				spreadOf(some, func(f *Failure) time.Duration { return f.Typical }),
				spreadOf(some, func(f *Failure) time.Duration { return f.Service }))
		}
	}
	_ = w.Flush() // into memory
	return text.String()
}

// spreadOf is median (least-most), in milliseconds.
func spreadOf(list []Failure, of func(*Failure) time.Duration) string {
	var all []int64
	for i := range list {
		all = append(all, of(&list[i]).Milliseconds())
	}
	slices.Sort(all)
	return fmt.Sprintf("%d (%d-%d) ms", all[len(all)/2], all[0], all[len(all)-1])
}
