package secure

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"

	"quartet/bus/host/atomicfile"
)

// What a block of a PEM file is.
const (
	pemCertificate = "CERTIFICATE"
	pemKey         = "PRIVATE KEY"
)

// writePair writes a key, and then the certificate: who reads meanwhile finds a pair that does not
// go together, and keeps what it has.
func writePair(dir, certFile, keyFile string, der []byte, key crypto.Signer) error {
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("secure: %w", err)
	}
	if err := replace(filepath.Join(dir, keyFile), pem.EncodeToMemory(&pem.Block{Type: pemKey, Bytes: secret}), 0o600); err != nil {
		return err
	}
	return replace(filepath.Join(dir, certFile), pem.EncodeToMemory(&pem.Block{Type: pemCertificate, Bytes: der}), 0o644)
}

// replace writes a file whole or not at all, a power cut included.
func replace(name string, b []byte, mode os.FileMode) error {
	if err := atomicfile.Write(name, b, mode, atomicfile.Machine); err != nil {
		return fmt.Errorf("secure: %w", err)
	}
	return nil
}

// readCertificates reads all certificates of a PEM file, one at the least.
func readCertificates(name string) ([]*x509.Certificate, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("secure: %w", err)
	}
	var all []*x509.Certificate
	for rest := b; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != pemCertificate {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("secure: %s: %w", name, err)
		}
		all = append(all, c)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("secure: %s holds no certificate", name)
	}
	return all, nil
}

func readKey(name string) (crypto.Signer, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("secure: %w", err)
	}
	block, _ := pem.Decode(b)
	if block == nil || block.Type != pemKey {
		return nil, fmt.Errorf("secure: %s holds no private key", name)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("secure: %s: %w", name, err)
	}
	signer, isSigner := key.(crypto.Signer)
	if !isSigner {
		return nil, fmt.Errorf("secure: %s holds a key that cannot sign", name)
	}
	return signer, nil
}
