package message

// Kind implements [Message].
func (*Hello) Kind() Kind { return KindHello }

// Kind implements [Message].
func (*Install) Kind() Kind { return KindInstall }

// Kind implements [Message].
func (*Installed) Kind() Kind { return KindInstalled }

// Kind implements [Message].
func (*Forward) Kind() Kind { return KindForward }

// Kind implements [Message].
func (*Answers) Kind() Kind { return KindAnswers }

// Kind implements [Message].
func (*Data) Kind() Kind { return KindData }

// Kind implements [Message].
func (*Ack) Kind() Kind { return KindAck }

// Kind implements [Message].
func (*Gap) Kind() Kind { return KindGap }

// Kind implements [Message].
func (*Fill) Kind() Kind { return KindFill }

// Kind implements [Message].
func (*Probe) Kind() Kind { return KindProbe }

// Kind implements [Message].
func (*Report) Kind() Kind { return KindReport }

// Kind returns KindBeat.
func (*Beat) Kind() Kind { return KindBeat }

// Kind implements [Message].
func (*Prepare) Kind() Kind { return KindPrepare }

// Kind implements [Message].
func (*State) Kind() Kind { return KindState }

// Kind implements [Message].
func (*Pull) Kind() Kind { return KindPull }

// Kind implements [Message].
func (*Chunk) Kind() Kind { return KindChunk }

// Kind implements [Message].
func (*Outdated) Kind() Kind { return KindOutdated }

// Kind implements [Message].
func (*Poll) Kind() Kind { return KindPoll }

// Kind implements [Message].
func (*Vote) Kind() Kind { return KindVote }

// AppendRIDs implements [Message]: a message that concerns no request appends nothing. Messages
// that concern requests override it. PREPARE, STATE, PULL, CHUNK and the DATA of a FILL do not:
// they move state, and the story of the requests that made it is told elsewhere.
func (h *Header) AppendRIDs(dst []uint64) []uint64 { return dst }

// AppendRIDs implements [Message].
func (f *Forward) AppendRIDs(dst []uint64) []uint64 {
	for i := range f.Requests {
		dst = append(dst, f.Requests[i].RID)
	}
	return appendWrites(dst, f.Writes)
}

// AppendRIDs implements [Message].
func (f *Fill) AppendRIDs(dst []uint64) []uint64 { return appendWrites(dst, f.Writes) }

// AppendRIDs implements [Message].
func (a *Answers) AppendRIDs(dst []uint64) []uint64 {
	for i := range a.Answers {
		dst = append(dst, a.Answers[i].RID)
	}
	return dst
}

// AppendRIDs implements [Message]: the rIDs of the requests that d carries, then of those that it
// acknowledges.
func (d *Data) AppendRIDs(dst []uint64) []uint64 {
	return append(d.AppendOwnRIDs(dst), d.Acked...)
}

// AppendOwnRIDs appends the rIDs of the requests whose operations d carries.
func (d *Data) AppendOwnRIDs(dst []uint64) []uint64 {
	for i := range d.Ops {
		op := &d.Ops[i]
		switch op.Op {
		case OpReads:
			dst = append(dst, op.Reads...)
		case OpStrong, OpWeak:
			dst = append(dst, op.Request.RID)
		}
	}
	return dst
}

// AppendRIDs implements [Message].
func (a *Ack) AppendRIDs(dst []uint64) []uint64 { return append(dst, a.Acked...) }

func appendWrites(dst []uint64, writes []CausalWrite) []uint64 {
	for i := range writes {
		dst = append(dst, writes[i].Request.RID)
	}
	return dst
}
