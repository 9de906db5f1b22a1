package requestfile

import (
	"strings"
	"unicode/utf8"

	"quartet/bus"
	"quartet/bus/model"
)

// column returns the column, in characters from 1, of the first part that cannot be read. It walks
// the parts in the order in which the bus reads them; the bus says what is wrong.
func column(line []byte) int {
	text := string(line)
	at := 0                           // bytes before the part
	if strings.HasPrefix(text, "{") { // JSON: the bus names the field, or the byte
		return character(text, at)
	}

	consistency, rest, found := strings.Cut(text, ",")
	if _, err := model.ParseConsistency(trim(consistency)); err != nil {
		return character(text, at)
	}

	at = len(consistency)
	if !found {
		return character(text, at)
	}
	at++

	request, data, found := strings.Cut(rest, ",")
	kind, err := model.ParseType(trim(request))
	if err != nil {
		return character(text, at)
	}

	if kind == model.Txn { // which has no text form
		return character(text, at)
	}

	at += len(request)
	if !found {
		return character(text, at)
	}
	at++

	takesValue := kind == model.Set || kind == model.Add
	if takesValue && !strings.Contains(data, bus.Separator) {
		at += len(strings.TrimRight(data, blanks)) // where the separator is missing
	}
	return character(text, at)
}

const blanks = " \t\r\n"

func trim(s string) string { return strings.Trim(s, blanks) }

// character returns the column of the first byte at or after at that is no blank; the column after
// the last character where there is none.
func character(text string, at int) int {
	text = strings.TrimRight(text, blanks)
	at = min(at, len(text))

	for at < len(text) && strings.IndexByte(blanks, text[at]) >= 0 {
		at++
	}
	return utf8.RuneCountInString(text[:at]) + 1
}
