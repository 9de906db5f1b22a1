package bus

import "time"

const (
	HeaderRevision = "Quartet-Revision"
	HeaderExpires  = "Quartet-Expires"
	ExpiresForm    = "2006-01-02T15:04:05.000Z07:00"
)

func expiresAt(ms uint64) string { return time.UnixMilli(int64(ms)).UTC().Format(ExpiresForm) }

func parseExpires(s string) (uint64, error) {
	t, err := time.Parse(ExpiresForm, s)
	return uint64(t.UnixMilli()), err
}
