// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

// Package version says which build this is. Its variables are set by the
// linker and never change while the program runs.
package version

var (
	// Version is a semantic version with a leading v, the form in which Vault
	// wants the version of a running plugin.
	Version = "v0.1.0-dev"
	// Commit is the short id of the commit that was built, "unknown" for a build
	// outside of the repository.
	Commit = "unknown"
)
