package clientcmd

import "strings"

// remedies says what to do about what a cluster's status says of itself, by a part of the
// sentence. What ends by itself says so; what does not end names what ends it. The first that
// fits counts.
var remedies = [...]struct{ says, remedy string }{
	{"the disk", "make room on the disk of --dir: sets are taken again by themselves"},
	{"is full", "make room on that replica's disk: sets are taken again by themselves"},
	{"the next change of the view will fail", "the master's log says why its JetStream bucket cannot be written: make room on its disk, or bring the NATS servers that hold it back"},
	{"record of the views is lost", "quartet recover says what can be done, and what that may lose"},
	{"record of the views is being read", "the master cannot reach its JetStream bucket: bring the NATS servers back, or look at the master's log"},
	{"next death of a replica", "bring the missing replicas back, or add one: quartet replica --id r4 … (three replicas let one die)"},
	{"keeps ending", "that replica's .log and .out in the master's log directory say why"},
	{"everybody who reaches", "listen on 127.0.0.1, or run a NATS server that has users and TLS, and name it with --nats"},
	{"cannot be reached", "bring those replicas back, with their data; or see what going on without them would lose: quartet recover"},
	{"can be reached, and", "bring the missing replicas back; those that are being loaded come by themselves"},
	{"mend the network", "mend the network between the replicas that are named: nothing else helps while each of them lives"},
	{"waiting for the boot", "start the replicas that are named: the master starts its own, and their logs say why one does not come"},
	{"newer master", "ask the newer master: this one has ended its service"},
	{"to install the view", "it ends by itself: within --suspect, what does not answer is left out"},
	{"view is being", "it ends by itself within seconds; if it does not, the master's log says what it waits for"},
}

// remedy says what to do about a reason or a warning of a status.
func remedy(says string) string {
	for _, r := range remedies {
		if strings.Contains(says, r.says) {
			return r.remedy
		}
	}
	return "the master's log says more"
}
