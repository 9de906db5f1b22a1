package record

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"quartet/client/judge/history"
)

// Auto is the name of a folder that stands for a new folder under [Runs]; see [Folder].
const Auto = "auto"

// Runs is where runs get folders of their own.
const Runs = "runs"

// Folder returns the folder that a user means: name itself or, for [Auto], a new folder runs/TIME,
// to which the link runs/latest then leads.
func Folder(name string, now time.Time) (string, error) {
	if name != Auto {
		return name, nil
	}
	if err := os.MkdirAll(Runs, 0o755); err != nil {
		return "", fmt.Errorf("%w: %w", ErrRecord, err)
	}

	base := now.Format("2006-01-02T15-04-05")
	for i := 1; ; i++ {
		leaf := base
		if i > 1 {
			leaf = fmt.Sprintf("%s-%d", base, i)
		}
		dir := filepath.Join(Runs, leaf)
		err := os.Mkdir(dir, 0o755)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("%w: %w", ErrRecord, err)
		}

		if err := lead(filepath.Join(Runs, "latest"), leaf); err != nil {
			return "", fmt.Errorf("%w: %w", ErrRecord, err)
		}
		return dir, nil
	}
}

// lead makes link a symbolic link to target, in place of an older one.
func lead(link, target string) error {
	temporary := link + "." + rand.Text()
	if err := os.Symlink(target, temporary); err != nil {
		return err
	}
	if err := os.Rename(temporary, link); err != nil {
		return errors.Join(err, os.Remove(temporary))
	}
	return nil
}

// Logs makes the recorder's log/ lead to a folder of logs that is somewhere else.
func (r *Recorder) Logs(dir string) error {
	if r == nil {
		return nil
	}
	link := filepath.Join(r.dir, LogFolder)
	if filepath.Clean(dir) == filepath.Clean(link) {
		return nil
	}
	target, err := filepath.Abs(dir)
	if err == nil {
		err = lead(link, target)
	}
	if err != nil {
		return fmt.Errorf("%w: the logs: %w", ErrRecord, err)
	}
	return nil
}

// open opens the history for appending, with a header of its own.
func open(o Options) (file *os.File, began time.Time, tag string, err error) {
	path := filepath.Join(o.Dir, HistoryFile)
	now := time.Now()
	header := history.Header{Began: now.Round(0), Open: !o.Complete, Program: o.Program}
	line, err := history.AppendHeader(nil, header)
	if err != nil {
		return nil, now, "", err
	}

	first, err := create(path, line)
	if err != nil {
		return nil, now, "", err
	}
	if file, err = os.OpenFile(path, os.O_RDWR|os.O_APPEND, 0); err != nil {
		return nil, now, "", err
	}

	if first {
		return file, now, "", nil
	}
	if began, err = join(file, line, now); err != nil {
		return nil, now, "", errors.Join(err, file.Close())
	}
	return file, began, strings.ToLower(rand.Text()[:5]) + "-", nil
}

// create makes the file with its first line, both or nothing, unless it is there.
func create(path string, line []byte) (created bool, err error) {
	temporary := path + "." + rand.Text()
	if err := os.WriteFile(temporary, line, 0o644); err != nil {
		return false, err
	}

	err = os.Link(temporary, path)
	if removed := os.Remove(temporary); removed != nil {
		return false, removed
	}
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	return err == nil, err
}

// join goes on with a history that another program began: it reads when that was, and appends a
// header. The monotonic clocks of the two programs are compared by their wall clocks.
func join(file *os.File, line []byte, now time.Time) (began time.Time, err error) {
	first, err := bufio.NewReader(io.LimitReader(file, 64<<10)).ReadBytes('\n')
	if err != nil && err != io.EOF {
		return now, err
	}
	head, err := history.Read(strings.NewReader(string(first)))
	if err != nil || len(head.Headers) == 0 {
		return now, errors.Join(fmt.Errorf("%s is no history that this program began", file.Name()), err)
	}

	// now has a monotonic reading; so has a time that many nanoseconds before it.
	began = now.Add(-now.Round(0).Sub(head.Headers[0].Began))

	size, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return now, err
	}
	last := make([]byte, 1)
	if _, err := file.ReadAt(last, size-1); err != nil {
		return now, err
	}
	if last[0] != '\n' { // its program was killed
		line = append([]byte{'\n'}, line...)
	}
	_, err = file.Write(line)
	return began, err
}
