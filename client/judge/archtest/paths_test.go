package archtest_test

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// document is a text that people follow: a page in .md, a step of CI, the Taskfile, or the
// comments of a Go file. Where they name a file, that file is there.
type document struct {
	name string // relative to the module
	text string
}

// tree is what the repository holds, and its documents.
type tree struct {
	files     map[string]bool // and folders, relative to the module
	names     map[string]bool // of files, without their folders
	documents []document
}

// leftovers are the folders that runs and builds leave behind (see .gitignore).
var leftovers = []string{".git", ".task", "bin", "log", "quartet-data", "runs"}

func readTree(t *testing.T) tree {
	t.Helper()
	all := tree{files: map[string]bool{}, names: map[string]bool{}}

	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		if d.IsDir() && slices.Contains(leftovers, rel) {
			return filepath.SkipDir
		}

		all.files[rel] = true
		all.names[d.Name()] = true
		followed := path.Ext(rel) == ".md" || path.Dir(rel) == ".ci" || rel == "Taskfile.yml"
		if d.IsDir() || !followed {
			return nil
		}
		body, err := os.ReadFile(name)
		all.documents = append(all.documents, document{rel, string(body)})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// has reports whether p is there, seen from the module or from the folder of the document that
// names it. A pattern of a package ("./client/...") stands for its folder.
func (t *tree) has(p, folder string) bool {
	p, _, _ = strings.Cut(p, "/...")
	p = path.Clean(strings.TrimRight(p, ".-"))
	if !strings.Contains(p, "*") {
		return t.files[p] || t.files[path.Join(folder, p)]
	}
	for file := range t.files {
		if ok, err := path.Match(p, file); err == nil && ok {
			return true
		}
	}
	return false
}

// pathWord is a path into one of the parts, not the end of a longer one: an address, a
// subject, a path of the machine.
var pathWord = regexp.MustCompile(`(?:^|[^\w/.$-])(?:\./|quartet/)?((?:client|master|replica|bus|testdata|findings)/[\w./*-]*)`)

func TestEveryPathIsThere(t *testing.T) {
	all := readTree(t)
	sources, _ := sources(t)
	documents := all.documents
	for _, s := range sources {
		for _, group := range s.file.Comments {
			documents = append(documents, document{s.name, group.Text()})
		}
	}

	found := 0
	for _, d := range documents {
		for _, match := range pathWord.FindAllStringSubmatch(d.text, -1) {
			if found++; !all.has(match[1], path.Dir(d.name)) {
				t.Errorf("%s names %s, which is not there", d.name, match[1])
			}
		}
	}
	if found < 100 {
		t.Errorf("only %d paths found: the check would hold for nothing", found)
	}
}

var link = regexp.MustCompile(`\]\(([^)#\s]+)`)

// A page, a script and a transcript that no page leads to is one that nobody finds.
func TestEveryPageScriptAndTranscriptIsLinked(t *testing.T) {
	all := readTree(t)
	linked := map[string]bool{"README.md": true, "CONTRIBUTING.md": true}
	for _, d := range all.documents {
		for _, match := range link.FindAllStringSubmatch(d.text, -1) {
			linked[path.Join(path.Dir(d.name), match[1])] = true
		}
	}

	found := 0
	for file := range all.files {
		isScript := path.Dir(file) == "testdata/script" && path.Ext(file) == ".txtar"
		isTranscript := path.Dir(file) == "testdata/transcripts" && path.Ext(file) == ".txt"
		if path.Ext(file) != ".md" && !isScript && !isTranscript {
			continue
		}
		if found++; !linked[file] {
			t.Errorf("no page has a link to %s", file)
		}
	}
	if found < 50 {
		t.Errorf("only %d found: the check would hold for nothing", found)
	}
}

func TestEveryLinkLeadsSomewhere(t *testing.T) {
	all := readTree(t)
	found := 0
	for _, d := range all.documents {
		for _, match := range link.FindAllStringSubmatch(d.text, -1) {
			if strings.Contains(match[1], "://") {
				continue
			}
			if found++; !all.files[path.Join(path.Dir(d.name), match[1])] {
				t.Errorf("%s has a link to %s, which is not there", d.name, match[1])
			}
		}
	}
	if found < 20 {
		t.Errorf("only %d links found: the check would hold for nothing", found)
	}
}

var (
	fileWord = regexp.MustCompile(`(?m)([\w*-]+\.(?:go|md))(?:[^\w.]|\.\s|\.?$)`) // not pkg.go.dev
	testWord = regexp.MustCompile(`\b(?:Test|Fuzz|Benchmark)[A-Z]\w*`)
	testDecl = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)\w*)\(`)
	taskWord = regexp.MustCompile("`task ([\\w:]+)")
	taskDecl = regexp.MustCompile(`(?m)^  ([\w:]+):$`)
)

// foreign are files that documents name and that are not ours.
var foreign = []string{"orbit.go", "nats.go"}

// A page says which test holds a rule, which file has it, and which task shows it.
func TestWhatPagesNameIsThere(t *testing.T) {
	all := readTree(t)
	tests, tasks := map[string]bool{}, map[string]bool{}
	for file := range all.files {
		if strings.HasSuffix(file, "_test.go") {
			for _, match := range testDecl.FindAllStringSubmatch(read(t, file), -1) {
				tests[match[1]] = true
			}
		}
	}
	for _, match := range taskDecl.FindAllStringSubmatch(read(t, "Taskfile.yml"), -1) {
		tasks[match[1]] = true
	}

	for _, d := range all.documents {
		if path.Ext(d.name) != ".md" {
			continue
		}
		for _, match := range fileWord.FindAllStringSubmatch(d.text, -1) {
			name := match[1]
			if !strings.Contains(name, "*") && !all.names[name] && !slices.Contains(foreign, name) {
				t.Errorf("%s names the file %s, which is not there", d.name, name)
			}
		}
		for _, name := range testWord.FindAllString(d.text, -1) {
			if !tests[name] {
				t.Errorf("%s names %s, which is no test", d.name, name)
			}
		}
		for _, match := range taskWord.FindAllStringSubmatch(d.text, -1) {
			if !tasks[match[1]] {
				t.Errorf("%s names the task %s, which the Taskfile does not have", d.name, match[1])
			}
		}
	}
}

// read returns a file of the module.
func read(t *testing.T, name string) string {
	t.Helper()
	body, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// A folder of stories has an index that leads to each of them.
func TestIndexesAreComplete(t *testing.T) {
	for folder, ext := range map[string]string{"testdata/transcripts": ".txt", "testdata/script": ".txtar"} {
		index := read(t, folder+"/README.md")
		stories, err := filepath.Glob(filepath.Join(root, folder, "*"+ext))
		if err != nil || len(stories) == 0 {
			t.Fatalf("%s has no stories: %v", folder, err)
		}
		for _, story := range stories {
			if !strings.Contains(index, "("+filepath.Base(story)+")") {
				t.Errorf("%s/README.md does not lead to %s", folder, filepath.Base(story))
			}
		}
	}
}

// The README's picture of the tree has each folder with a package down to the second level, and
// those of bus/host and client/judge.
func TestReadmeShowsTheTree(t *testing.T) {
	_, rest, _ := strings.Cut(read(t, "README.md"), "## Layout")
	_, rest, _ = strings.Cut(rest, "```\n")
	picture, _, found := strings.Cut(rest, "```")
	if !found {
		t.Fatal("README.md has no picture of the tree")
	}

	all, _ := sources(t)
	seen := make(map[string]bool)
	for _, s := range all {
		parts := strings.Split(s.dir, "/")
		depth, name := 2, parts[len(parts)-1]
		if above := path.Dir(s.dir); above == "bus/host" || above == "client/judge" {
			depth = 3
		}
		if seen[s.dir] || len(parts) != depth {
			continue
		}
		seen[s.dir] = true
		if !regexp.MustCompile(`\b` + regexp.QuoteMeta(name) + `\b`).MatchString(picture) {
			t.Errorf("README.md, Layout: %s is missing", s.dir)
		}
	}
	if len(seen) < 30 {
		t.Errorf("only %d folders looked for", len(seen))
	}
}
