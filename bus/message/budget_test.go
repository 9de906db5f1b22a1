package message_test

import (
	"fmt"
	"slices"
	"testing"

	"quartet/bus/message"
)

// Items are cut into messages by number and bytes: each has its budget and less than one item more.
func TestABatchIsCutByItemsAndBytes(t *testing.T) {
	for _, test := range []struct {
		name  string
		items []int // bytes of each
		most  message.Budget
		want  []int // items of each message
	}{
		{"nothing", nil, message.Budget{Items: 3, Bytes: 10}, nil},
		{"one", []int{1}, message.Budget{Items: 3, Bytes: 10}, []int{1}},
		{"exactly as many items", []int{1, 1, 1}, message.Budget{Items: 3, Bytes: 10}, []int{3}},
		{"one item more", []int{1, 1, 1, 1}, message.Budget{Items: 3, Bytes: 10}, []int{3, 1}},
		{"exactly as many bytes", []int{4, 6, 1}, message.Budget{Items: 3, Bytes: 10}, []int{2, 1}},
		{"one byte less", []int{4, 5, 1}, message.Budget{Items: 3, Bytes: 10}, []int{3}},
		{"the last goes beyond", []int{9, 100, 1}, message.Budget{Items: 3, Bytes: 10}, []int{2, 1}},
		{"larger than the budget", []int{100}, message.Budget{Items: 3, Bytes: 10}, []int{1}},
		{"all larger", []int{100, 100}, message.Budget{Items: 3, Bytes: 10}, []int{1, 1}},
		{"of no bytes", []int{0, 0, 0, 0}, message.Budget{Items: 3, Bytes: 10}, []int{3, 1}},
		{"no items allowed", []int{1}, message.Budget{Bytes: 10}, []int{0}},
		{"no bytes allowed", []int{1}, message.Budget{Items: 3}, []int{0}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got []int
			for rest := test.items; len(rest) > 0; {
				left := test.most
				n := message.Fit(&left, rest, func(bytes *int) int { return *bytes })
				got, rest = append(got, n), rest[n:]
				if n == 0 {
					break
				}
			}

			if !slices.Equal(got, test.want) {
				t.Errorf("cut into %v, want %v", got, test.want)
			}
		})
	}
}

// What was spent on one list is not there for the next.
func TestListsShareABudget(t *testing.T) {
	bytes := func(n *int) int { return *n }
	for _, test := range []struct{ first, second, wantFirst, wantSecond int }{
		{0, 5, 0, 4}, {1, 5, 1, 3}, {4, 5, 4, 0}, {9, 5, 4, 0}, {2, 1, 2, 1},
	} {
		t.Run(fmt.Sprintf("%d and %d", test.first, test.second), func(t *testing.T) {
			left := message.Budget{Items: 4, Bytes: 1000}
			first := message.Fit(&left, make([]int, test.first), bytes)
			second := message.Fit(&left, make([]int, test.second), bytes)
			if first != test.wantFirst || second != test.wantSecond {
				t.Errorf("%d and %d, want %d and %d", first, second, test.wantFirst, test.wantSecond)
			}
		})
	}
}
