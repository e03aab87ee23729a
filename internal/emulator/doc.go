// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

// Package emulator holds what every emulated cloud service has in common: the
// way a call takes through authentication, injected faults and the call log,
// the clock, the accounts, the KMS keys, and files that keep the state. A cloud
// is one package below it that adds wire format, signature, rules and errors by
// implementing [Protocol] and [Service]. Its server embeds a [Base] and a
// [Switchboard], and keeps its own type of secret in a [Store].
//
// A [Core] is one service with its state in memory, or also in files. A call
// that was answered with success is stored; a service whose process is killed
// and started again on the same files has exactly the state it acknowledged.
// Faults, the call log, the clock's offset and changes of accounts and keys
// are gone then. Files serve one process at a time.
//
// Emulators are for tests and for trying things out on one machine: they keep
// values readable, and give them to whoever may use the control API.
package emulator
