// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

// Package backend is the secrets engine as Vault sees it: factory, life cycle
// and paths. The work is done elsewhere:
//
//	engine       what a change is, and how replicas follow it
//	kvstore      the versioned values: the KV v2 library on a view of the storage
//	plan         which remote calls make a replica what it should be
//	provider     the contract with the clouds, and one package per cloud
//	payload      data of a secret as the bytes that a cloud stores
//	remotename   names of secrets as names that a cloud allows
//	owner        the mark that says whose a remote secret is
//	record       typed entries in Vault's storage
//	sensitive    text that never prints
//
// Vault holds the truth. A write that was answered with success is in Vault's
// storage together with a mark that its replicas are behind, and reaches every
// destination without a person as long as the destination recovers. While a
// cloud is down, writes go on and pile up nothing: when it is back, the newest
// live version is sent, not each one in between. A remote secret that doesn't
// carry this mount's mark is never changed or deleted.
//
// A path's handler decodes, calls the engine and encodes. Nothing here calls a
// cloud.
package backend
