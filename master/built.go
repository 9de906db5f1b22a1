package master

import "quartet/bus/model"

// NotBuilt says of a request that has a form already and is not carried out yet why its door is to
// refuse it; "": it is carried out.
func NotBuilt(r *model.Request) string {
	switch {
	case r.Type != model.Set && r.Type != model.Get:
		return "requests of the type " + r.Type.Word() + " are not built yet"
	case r.HasIf:
		return "conditions are not built yet"
	case r.TTL > 0:
		return "values that end are not built yet"
	}
	return ""
}
