// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package harness

import "syscall"

// Freeze stops the node and its plugins in the middle of what they do, as a paused
// virtual machine stops, and returns the processes for Thaw.
func (v *Vault) Freeze() []int {
	pids := append(v.PluginPIDs(), v.process.cmd.Process.Pid)
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGSTOP)
	}
	return pids
}

// Thaw lets frozen processes go on.
func Thaw(pids []int) {
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGCONT)
	}
}
