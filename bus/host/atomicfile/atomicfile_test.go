package atomicfile_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"quartet/bus/host/atomicfile"
)

// names returns the names in a folder.
func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

// expect checks the whole content of a folder of one file, and the mode of that file.
func expect(t *testing.T, path, content string, mode fs.FileMode) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != content || info.Mode().Perm() != mode {
		t.Errorf("%q, mode %o; want %q, mode %o", got, info.Mode().Perm(), content, mode)
	}
	if all := names(t, filepath.Dir(path)); !slices.Equal(all, []string{filepath.Base(path)}) {
		t.Errorf("the folder holds %q", all)
	}
}

// A file is replaced whole, whatever its writer wants it to outlive, and has the mode that was
// asked for: not that of the file before, and not what the umask leaves.
func TestWriteReplaces(t *testing.T) {
	for name, outlive := range map[string]atomicfile.Durability{
		"process": atomicfile.Process, "machine": atomicfile.Machine, "committed": atomicfile.Committed,
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "file")
			if err := atomicfile.Write(path, []byte("a long first content"), 0o600, outlive); err != nil {
				t.Fatal(err)
			}
			expect(t, path, "a long first content", 0o600)
			if err := atomicfile.Write(path, []byte("second"), 0o666, outlive); err != nil {
				t.Fatal(err)
			}
			expect(t, path, "second", 0o666)
		})
	}
}

// A file by the umask has the mode that os.Create gives.
func TestByUmask(t *testing.T) {
	other, err := os.Create(filepath.Join(t.TempDir(), "other"))
	if err != nil {
		t.Fatal(err)
	}
	info, err := other.Stat()
	if err := errors.Join(err, other.Close()); err != nil {
		t.Fatal(err)
	}

	path := filepath.Join(t.TempDir(), "file")
	if err := atomicfile.Write(path, nil, atomicfile.ByUmask, atomicfile.Process); err != nil {
		t.Fatal(err)
	}
	expect(t, path, "", info.Mode().Perm())
}

// A writer that fails leaves the file as it was, and nothing else behind.
func TestAFailedWriteChangesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("before"), 0o600); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	err := atomicfile.WriteBy(path, 0o600, atomicfile.Machine, func(w io.Writer) error {
		_, err := io.WriteString(w, "half")
		return errors.Join(err, broken)
	})
	if !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
	expect(t, path, "before", 0o600)
}

// A name that cannot be given is an error, and nothing is left behind: here a folder has it.
func TestANameThatIsTaken(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "file", "inner"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := atomicfile.Write(filepath.Join(dir, "file"), []byte("x"), 0o600, atomicfile.Process); err == nil {
		t.Error("no error")
	}
	if all := names(t, dir); !slices.Equal(all, []string{"file"}) {
		t.Errorf("the folder holds %q", all)
	}
}

// Until it is committed a file has not got its name; what was written before a restart is gone.
func TestRestartAndCommit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	f, err := atomicfile.Create(path, 0o600, atomicfile.Committed)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Drop()

	for _, text := range []string{"a long first try", "second"} {
		if err := f.Restart(); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(f, text); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is there before it is committed: %v", err)
	}
	if err := f.Commit(); err != nil {
		t.Fatal(err)
	}
	f.Drop() // too late to do any harm
	expect(t, path, "second", 0o600)
}
