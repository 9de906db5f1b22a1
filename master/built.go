package master

import "quartet/bus/model"

// NotBuilt says of a request that has a form already and is not carried out yet why its door is to
// refuse it; "": it is carried out.
func NotBuilt(r *model.Request) string {
	switch r.Type {
	case model.List:
		return "the request " + r.Type.Word() + " is set aside: this version does not serve it"
	}
	return ""
}
