package bus

import (
	"strings"
	"testing"
)

func TestTraceparents(t *testing.T) {
	const good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for _, s := range []string{
		good, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", "cc" + good[2:], "01" + good[2:] + "-more",
	} {
		if !ValidTraceparent(s) {
			t.Errorf("%q is valid", s)
		}
	}
	for _, s := range []string{
		"", "00", good[:54], good + "-more", good + "0", "ff" + good[2:], "0g" + good[2:], strings.ToUpper(good),
		"00-00000000000000000000000000000000-b7ad6b7169203331-01", "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
		strings.ReplaceAll(good, "-", "_"), "01" + good[2:] + "more", "01" + good[2:] + "-a\r\nEvil: 1",
		"01" + good[2:] + "-" + strings.Repeat("a", 300), good[:53] + "zz",
	} {
		if ValidTraceparent(s) {
			t.Errorf("%q is not valid", s)
		}
	}
}

func TestTracestates(t *testing.T) {
	if !ValidTracestate("congo=t61rcWkgMzE,rojo=00f067aa0ba902b7") {
		t.Error("a good one")
	}
	for _, s := range []string{"", "a=b\r\nEvil: 1", "a=\u00e4", strings.Repeat("a", 513)} {
		if ValidTracestate(s) {
			t.Errorf("%q is not valid", s)
		}
	}
}
