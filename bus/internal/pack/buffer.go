package pack

// Buffer is what an encoder of the library writes into. It cannot fail, so the encoder's errors
// are always nil. Who needs bytes in it that no encoder makes appends to B.
type Buffer struct{ B []byte }

// Write appends p.
func (w *Buffer) Write(p []byte) (int, error) {
	w.B = append(w.B, p...)
	return len(p), nil
}

// WriteByte appends c.
func (w *Buffer) WriteByte(c byte) error {
	w.B = append(w.B, c)
	return nil
}
