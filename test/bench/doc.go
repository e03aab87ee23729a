// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

// Package bench measures the plugin as it runs: in a real Vault on raft storage,
// beside an emulated cloud, all on one machine.
//
// make bench measures and prints. Everywhere else the same tests run with a
// handful of secrets, which keeps them in order; their figures mean nothing.
//
// Nothing here judges a figure. What a busy machine may change is no failure;
// what it can't, such as the number of remote calls, other tests require.
package bench
