package clientcmd

import "time"

// micros writes a time of us microseconds.
func micros(us int64) string { return (time.Duration(us) * time.Microsecond).String() }
