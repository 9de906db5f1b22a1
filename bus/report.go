package bus

import (
	"encoding/json"
	"fmt"
	"time"

	"quartet/bus/model"
)

// Report is the JSON object that answers on [Subjects.Report], and what report.json holds:
// the statistics of a master's run. Fields are only ever added.
type Report struct {
	Started  time.Time      `json:"started"`  // of the run
	Updated  time.Time      `json:"updated"`  // when these figures were taken
	Finished bool           `json:"finished"` // the run has ended, and by itself
	Total    ReportGroup    `json:"total"`
	Groups   []ReportGroup  `json:"groups"`   // by consistency and type; those with requests
	Replicas []ReportServed `json:"replicas"` // those with requests
	List     ReportList     `json:"list"`
}

// ReportGroup is the statistics of some requests. Count is the sum of OK, NoValue, Unmet and
// Failed.
//
// Times are in µs, from the master's receipt of a request to its answer, of the requests that
// were worth a try, failed ones too: what was refused at sight, as malformed or too large,
// has no time (see [model.Code.Timed]).
type ReportGroup struct {
	Consistency string                `json:"consistency,omitempty"` // the model's word; "" in the total, and where the request did not say
	Request     string                `json:"request,omitempty"`     // the type's word; likewise
	Count       uint64                `json:"count"`
	OK          uint64                `json:"ok"`
	NoValue     uint64                `json:"no_value"`        // gets of a key without a value: answered, as OK is
	Unmet       uint64                `json:"unmet"`           // writes whose condition did not hold: answered, too
	Failed      uint64                `json:"failed"`          // refused, or of unknown outcome: not answered
	Codes       map[model.Code]uint64 `json:"codes,omitempty"` // of all but OK
	Duplicates  uint64                `json:"duplicates"`      // answered with an earlier outcome
	Timed       uint64                `json:"timed"`           // how many the times are of
	Mean        float64               `json:"mean_us"`
	P50         int64                 `json:"p50_us"`
	P90         int64                 `json:"p90_us"`
	P99         int64                 `json:"p99_us"`
	Max         int64                 `json:"max_us"`
}

// ReportServed is what one node answered.
type ReportServed struct {
	Replica string `json:"replica"` // "" for requests that nobody served
	Count   uint64 `json:"count"`
	OK      uint64 `json:"ok"`
	NoValue uint64 `json:"no_value"`
	Unmet   uint64 `json:"unmet"`
	Failed  uint64 `json:"failed"`
}

// ReportList says how complete the list of requests is. Requests that are counted and in
// none of the three are still on their way: see [Report.Coming].
type ReportList struct {
	Lines   uint64 `json:"lines"`   // in the files
	Lost    uint64 `json:"lost"`    // never written: the disk was too slow or refused
	Deleted uint64 `json:"deleted"` // were in a file that rotation deleted
}

// Coming is how many requests are counted and have not reached the list yet: the disk is
// still at them.
func (r *Report) Coming() uint64 {
	return r.Total.Count - min(r.Total.Count, r.List.Lines+r.List.Lost+r.List.Deleted)
}

// ParseStatus reads the object that answers on [Subjects.Status]. Fields that are not known
// here are passed over.
func ParseStatus(body []byte) (Status, error) {
	var s Status
	err := parseAnswer("status", body, &s)
	return s, err
}

// ParseReport reads the object that answers on [Subjects.Report], as [ParseStatus] does.
func ParseReport(body []byte) (Report, error) {
	var r Report
	err := parseAnswer("report", body, &r)
	return r, err
}

func parseAnswer(what string, body []byte, into any) error {
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("the cluster's %s is no JSON object that this version can read: %w", what, err)
	}
	return nil
}
