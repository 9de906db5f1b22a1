package replicanode

import "syscall"

// bootID differs after each start of the machine.
func bootID() (string, error) { return syscall.Sysctl("kern.bootsessionuuid") }
