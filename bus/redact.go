package bus

import (
	"net/url"
	"strings"
)

// redact hides the passwords (and tokens) of URLs joined by commas.
func redact(urls string) string {
	parts := strings.Split(urls, ",")
	for i, part := range parts {
		part = strings.TrimSpace(part)
		u, err := url.Parse(part)
		switch {
		case err != nil:
			if at := strings.LastIndexByte(part, '@'); at >= 0 {
				part = "***" + part[at:]
			}
			parts[i] = part
		case u.User != nil:
			u.User = url.User("***")
			parts[i] = strings.Replace(u.String(), "%2A%2A%2A", "***", 1)
		default:
			parts[i] = part
		}
	}
	return strings.Join(parts, ",")
}
