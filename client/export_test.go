package client

// Written tells tests how many keys a session keeps.
func Written(s *Session) int { return len(s.written) }
