package secure

import (
	"crypto/rand"
	"fmt"
	"path/filepath"

	pkcs12 "software.sslmate.com/src/go-pkcs12"
)

// BrowserFile is a client's certificate with its key, as a browser takes them.
const BrowserFile = "browser.p12"

// ForBrowser writes [BrowserFile] into the directory of a client's identity, anew if it is there,
// and returns its password, which stands nowhere else: of so much chance that the file alone is of
// no use to whoever finds it. The error wraps [ErrRole] where the certificate is a node's.
func (i *Identity) ForBrowser() (file, password string, err error) {
	m := i.fresh()
	if m.role == Node {
		return "", "", fmt.Errorf("%w: %s is a node's, and belongs in no browser", ErrRole, i.dir)
	}
	authorities, err := readCertificates(filepath.Join(i.dir, AuthorityFile))
	if err != nil {
		return "", "", err
	}

	password = rand.Text()
	b, err := pkcs12.Modern2023.Encode(m.pair.PrivateKey, m.leaf, authorities, password)
	if err != nil {
		return "", "", fmt.Errorf("secure: %s: %w", BrowserFile, err)
	}
	file = filepath.Join(i.dir, BrowserFile)
	return file, password, replace(file, b, 0o600)
}
