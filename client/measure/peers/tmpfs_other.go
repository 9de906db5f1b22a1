//go:build !linux

package peers

import "errors"

// isTmpfs is known on Linux only.
func isTmpfs(string) (bool, error) { return false, errors.ErrUnsupported }
