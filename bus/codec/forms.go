package codec

import "quartet/bus/model"

// Forms are the forms of transactions and of what they come to, for who is handed them: a core
// imports no package that is none.
type Forms struct{}

// ParseTransaction is [ParseTransaction].
func (Forms) ParseTransaction(b []byte) (model.Transaction, error) { return ParseTransaction(b) }

// AppendResults is [AppendResults].
func (Forms) AppendResults(dst []byte, r *model.Results) ([]byte, error) {
	return AppendResults(dst, r)
}
