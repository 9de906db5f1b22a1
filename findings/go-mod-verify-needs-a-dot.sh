#!/usr/bin/env bash
# go mod verify: fails in a module whose local `replace` has a path without a dot; every other command accepts it
# Package: the Go toolchain, go1.26.8 (run with GOTOOLCHAIN=go1.26.8)
#
# What one expects: a module that is replaced by a directory has nothing in the module cache, so there is nothing to
#   verify, whatever its path is. `go build`, `go vet`, `go mod tidy -diff` and `go list -m` all accept a path without
#   a dot ("lib", as many private programs call their module) when `replace` names its directory.
# What happens: `go mod verify` turns the path into the name of a file in the cache before it asks whether there is
#   anything, which fails for a path without a dot; it then reads "hash" in the working directory, does not find it,
#   and ends with status 1. With a dot in the path (example.com/lib) the same tree is verified.
#
#     lib:              run 0, tidy -diff 0, verify 1: lib v0.0.0: missing ziphash: open hash: no such file or directory
#     example.com/lib:  run 0, tidy -diff 0, verify 0: all modules verified
#
# Why it matters: a second module in a repository (benchmarks, tools) that uses its parent by `replace` turns the usual
#   "go mod verify" of a CI red, with a message that speaks of a missing file of the cache. Verify a copy of go.mod
#   from which that requirement is dropped, or give the module a path with a dot.
set -euo pipefail
export GOTOOLCHAIN=go1.26.8 GOFLAGS=
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"

# tree PATH: a library of that module path beside a program that replaces it by its directory
tree() {
  rm -rf lib app
  mkdir lib app
  printf 'module %s\n\ngo 1.26\n' "$1" >lib/go.mod
  printf 'package lib\n\nfunc One() int { return 1 }\n' >lib/lib.go
  printf 'module example.com/app\n\ngo 1.26\n\nrequire %s v0.0.0\n\nreplace %s => ../lib\n' "$1" "$1" >app/go.mod
  printf 'package main\n\nimport "%s"\n\nfunc main() { println(lib.One()) }\n' "$1" >app/main.go
}

# status COMMAND...: its exit status, its output in out
status() {
  local code=0
  (cd app && "$@") >out 2>&1 || code=$?
  echo "$code"
}

# see PATH: what the commands make of it, one line
see() {
  tree "$1"
  local run tidy verify
  run=$(status go run .)
  tidy=$(status go mod tidy -diff)
  verify=$(status go mod verify)
  echo "$1: run $run, tidy -diff $tidy, verify $verify: $(cat out)"
}

without=$(see lib)
with=$(see example.com/lib)
printf '%s\n%s\n' "$without" "$with"

[[ $without == "lib: run 0, tidy -diff 0, verify 1: "*"missing ziphash"* ]]
[[ $with == "example.com/lib: run 0, tidy -diff 0, verify 0: all modules verified" ]]
echo "as described"
