// Package atomicfile is files that are there whole or not at all. It promises that a reader, and
// whoever comes after a crash, finds under a name the file as it was before or as it is afterwards,
// and nothing in between: the file is written under another name in the same folder, and renamed.
// What it outlives its writer says by a [Durability].
package atomicfile

import (
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Durability says what a replaced file outlives.
type Durability uint8

const (
	// Process: the file outlives the process that wrote it. After a power cut it may be empty.
	Process Durability = iota
	// Machine: after a power cut, too, the file is whole, in its old or its new form.
	Machine
	// Committed: after a power cut, too, the file has its new form.
	Committed
)

// ByUmask is the mode of a file that anybody may read and write whom the umask of this process
// lets.
const ByUmask fs.FileMode = 0

// File is a file without its name: [File.Commit] gives it that, [File.Drop] removes it.
type File struct {
	*os.File
	path    string
	outlive Durability
}

// Create begins a file that is to stand at path, with exactly this mode, or with [ByUmask].
func Create(path string, mode fs.FileMode, outlive Durability) (*File, error) {
	atFirst := mode
	if mode == ByUmask {
		atFirst = 0o666
	}

	temporary := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+"."+rand.Text()+".new")
	f, err := os.OpenFile(temporary, os.O_RDWR|os.O_CREATE|os.O_EXCL, atFirst)
	if err != nil {
		return nil, err
	}

	file := &File{File: f, path: path, outlive: outlive}
	if mode == ByUmask {
		return file, nil
	}
	if err := f.Chmod(mode); err != nil { // the umask may have taken something off
		file.Drop()
		return nil, err
	}
	return file, nil
}

// Restart empties the file.
func (f *File) Restart() error {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return f.Truncate(0)
}

// Drop closes and removes the file, unless Commit has given it its name. Its errors add nothing:
// what stays behind is in nobody's way.
func (f *File) Drop() {
	_ = f.Close()
	_ = os.Remove(f.Name())
}

// Commit closes the file and gives it its name, in place of a file that has it. If that fails, Drop
// removes the file.
func (f *File) Commit() error {
	if f.outlive >= Machine {
		if err := f.Sync(); err != nil {
			return err
		}
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), f.path); err != nil {
		return err
	}

	if f.outlive < Committed {
		return nil
	}
	folder, err := os.Open(filepath.Dir(f.path))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// Write replaces the file at path by one that holds b.
func Write(path string, b []byte, mode fs.FileMode, outlive Durability) error {
	return WriteBy(path, mode, outlive, func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	})
}

// WriteBy replaces the file at path by one that holds what write writes.
func WriteBy(path string, mode fs.FileMode, outlive Durability, write func(io.Writer) error) error {
	f, err := Create(path, mode, outlive)
	if err != nil {
		return err
	}
	defer f.Drop()

	if err := write(f); err != nil {
		return err
	}
	return f.Commit()
}
