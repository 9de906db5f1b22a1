package codec

import (
	"quartet/bus/message"
	"quartet/bus/model"
)

// Forms are the forms of transactions, of what they come to, and of the pages of lists, for who is
// handed them: a core imports no package that is none.
type Forms struct{}

// ParseTransaction is [ParseTransaction].
func (Forms) ParseTransaction(b []byte) (model.Transaction, error) { return ParseTransaction(b) }

// TransactionWrites is [TransactionWrites].
func (Forms) TransactionWrites(b []byte) bool { return TransactionWrites(b) }

// AppendResults is [AppendResults].
func (Forms) AppendResults(dst []byte, r *model.Results) ([]byte, error) {
	return AppendResults(dst, r)
}

// AppendPage is [AppendPage].
func (Forms) AppendPage(dst []byte, p *model.Page) ([]byte, error) { return AppendPage(dst, p) }

// ItemSize is [ItemSize].
func (Forms) ItemSize(i *model.Item) int { return ItemSize(i) }

// NextWord is [NextWord].
func (Forms) NextWord(p *message.Cursor) string { return NextWord(p) }

// ParseNext is [ParseNext].
func (Forms) ParseNext(word string) (message.Cursor, error) { return ParseNext(word) }
