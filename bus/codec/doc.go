// Package codec is the form of every message of package bus/message as bytes. It promises to encode
// and decode without reflection, and to let no bytes do harm: a message is decoded whole or refused
// with [ErrMessage]; a declared length never sizes an allocation that the bytes at hand don't back;
// unknown versions, kinds and codes are refused. The values that a disk or a bucket keeps are
// written and read in the same form, each alone. FORMAT.md says, field by field, how each message
// and value looks.
package codec
