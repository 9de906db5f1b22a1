package console

import "time"

// Statistics is the cluster's report of its requests, as far as these commands read it.
type Statistics struct {
	Started time.Time `json:"started"`
	Total   Group     `json:"total"`
	Groups  []Group   `json:"groups"`
}

// Group is what it says of requests of one model and type. Times are in µs, from the
// master's receipt of a request to its answer.
type Group struct {
	Consistency string  `json:"consistency"`
	Request     string  `json:"request"`
	Count       uint64  `json:"count"`
	Failed      uint64  `json:"failed"` // refused, or of unknown outcome
	Timed       uint64  `json:"timed"`  // how many the times are of
	Mean        float64 `json:"mean_us"`
	P50         int64   `json:"p50_us"`
	P99         int64   `json:"p99_us"`
}
