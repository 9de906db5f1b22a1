package message

// Budget is what one message, or one answer of several, may still take: Items, and Bytes of them.
// An item is taken while there is any left of both, whatever its size is: so the largest value
// leaves too, and a message takes its budget and less than one item more. (A CHUNK, and a batch of
// a client, have bounds that only their first item may exceed.)
type Budget struct{ Items, Bytes int }

// NewBudget is the budget of one message of requests, operations or answers: with one item of the
// largest size beyond it, it stays below 1 MiB, the default max_payload of a NATS server.
func NewBudget() Budget { return Budget{Items: MostItems, Bytes: 256 << 10} }

const (
	// MostItems is how many items [NewBudget] allows.
	MostItems = 1024
	// ItemBytes is about what a request, operation or answer takes besides key, value and texts.
	ItemBytes = 64
)

// Left reports whether there is room for one more item.
func (b *Budget) Left() bool { return b.Items > 0 && b.Bytes > 0 }

// Spend takes one item of so many bytes.
func (b *Budget) Spend(bytes int) {
	b.Items--
	b.Bytes -= bytes
}

// Fit spends what the first of the items take, and returns how many there is room for. bytes says
// how large one is.
func Fit[T any](b *Budget, items []T, bytes func(*T) int) int {
	n := 0
	for ; n < len(items) && b.Left(); n++ {
		b.Spend(bytes(&items[n]))
	}
	return n
}
