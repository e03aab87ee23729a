// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

// Package harness runs the real programs for the end-to-end tests: a Vault, the
// plugin that it starts, and the emulated clouds, each a process of its own on
// loopback, on ports and files that survive a restart.
//
// Whatever is started ends with the test, also with a failed one. After a
// failure the files are kept, logs included, and the test says where.
//
// Nothing here sleeps for a time that is hoped to be long enough: what takes
// time is polled with a deadline, and a process that dies is noticed at once.
package harness
