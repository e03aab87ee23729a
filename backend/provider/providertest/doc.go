// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

// Package providertest holds what every provider must pass, and a cloud in
// memory that passes it.
//
// [Run] is the conformance suite: each case is a sentence of the contract in
// package provider. A provider adopts it by saying how to open a destination
// ([Fixture]), and, where it runs against a stand-in, how to make the service
// fail. Against a live account the cases that need a failure are skipped.
//
// [Memory] is a provider for tests of what is above the contract. It keeps its
// secrets over re-opening, counts calls, fails or blocks them on demand, and
// lets a test look at what is stored.
package providertest
