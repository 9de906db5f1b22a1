// Package network is tests of nodes on machines of their own: each in a network namespace, joined
// by virtual links to a switch, where packets are dropped as on a network that fails. It promises
// that what a history shows is judged, and that nothing of it is left on the machine. It needs
// root, iproute2 and nftables, and the build tag network: task test:network.
package network
