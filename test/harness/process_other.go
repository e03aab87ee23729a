// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

//go:build unix && !linux

package harness

import "syscall"

func dieWithTest() *syscall.SysProcAttr { return nil }
