#!/usr/bin/env bash
# nats.go: WatchFiltered and ListKeysFiltered write into the caller's slice of filters
# Packages: github.com/nats-io/nats.go v1.55.0, github.com/nats-io/nats-server/v2 v2.15.2
#
# What one expects: a slice of filters is what a program wants to watch; a call reads it. Passed again, or to
#   another bucket, it means the same.
# What happens: each filter is replaced in place by the subject that it stands for ("$KV.BUCKET." before it). The
#   second call with the same slice puts the prefix before the prefix, is answered without an error, and lists
#   nothing; so does a call for another bucket.
#
SEEN
# Why it matters: a loop that starts its watch anew after an error, or one list of filters for several buckets,
#   holds its filters in a variable. It is deaf from the second call on, silently: "no keys" is a good answer.
#   Whoever calls these passes a copy (slices.Clone).
