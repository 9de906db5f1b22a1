package history

// sights is what an operation saw of a key at one moment: of a txn its conditions, and its steps up
// to the first that wrote the key.
type sights []*sight

// oneSight are one sight, if it tells anything.
func oneSight(s sight) sights {
	if !s.tells() {
		return nil
	}
	return sights{&s}
}

// sightsAt are the sights that part i of an operation's begins: those of its key from there on, up
// to the next deed. A part that is among those of an earlier one begins none.
func sightsAt(parts []part, i int) sights {
	p := &parts[i]
	if len(parts) == 1 {
		return oneSight(p.sight)
	}

	for k := i - 1; k >= 0; k-- {
		if parts[k].key != p.key {
			continue
		}
		if isBeforeTheDeed := parts[k].deed.kind == leaves; isBeforeTheDeed {
			return nil
		}
		break
	}

	var list sights
	for k := i; k < len(parts); k++ {
		if parts[k].key != p.key {
			continue
		}
		if parts[k].sight.tells() {
			list = append(list, &parts[k].sight)
		}
		if parts[k].deed.kind != leaves {
			break
		}
	}
	return list
}

// value is the value that was seen, or "".
func (s sights) value() string {
	for _, one := range s {
		if one.kind == sawValue {
			return one.value
		}
	}
	return ""
}

// seenAll is seen for sights of one moment.
func (c content) seenAll(s sights, until int64) (content, bool) {
	if len(s) == 1 {
		return c.seen(s[0], until)
	}
	if until < c.since {
		return c, false
	}
	if as, ok := c.fitsAll(s); ok {
		return as, true
	}
	if c.found && until >= c.ends {
		return c.ended().fitsAll(s)
	}
	return c, false
}

// fitsAll reports whether all sights are of what there is, and returns what is known of it then.
func (c content) fitsAll(s sights) (content, bool) {
	as, ok := c, true
	for _, one := range s {
		if as, ok = as.fits(one); !ok {
			return c, false
		}
	}
	return as, true
}

// firstWrong is the first of sights that is not of what there is.
func (c content) firstWrong(s sights, until int64) *sight {
	for i := range s {
		if _, ok := c.seenAll(s[:i+1], until); !ok {
			return s[i]
		}
	}
	return s[0]
}
