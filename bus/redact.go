package bus

import "strings"

// Redact hides user, password and token of URLs joined by commas. It reads no more of
// them than it must: what is no URL may still hold a password.
func Redact(urls string) string {
	parts := strings.Split(urls, ",")
	for i, part := range parts {
		scheme, rest, found := strings.Cut(strings.TrimSpace(part), "://")
		if !found {
			scheme, rest = "", scheme
		} else {
			scheme += "://"
		}
		if at := strings.LastIndexByte(rest, '@'); at >= 0 {
			rest = "***" + rest[at:]
		}
		parts[i] = scheme + rest
	}
	return strings.Join(parts, ",")
}
