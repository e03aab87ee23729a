// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package provider

import "time"

// AuditScope is what to look for in a cloud's own record of calls.
type AuditScope struct {
	Region    string
	Settings  map[string]string // the kind's own
	Name      string            // of the remote secret
	RequestID string            // of one of the calls, "" if none is known
	From, To  time.Time
}

// AuditQuery is how a cloud's own audit is asked.
type AuditQuery struct {
	Service string // that is asked
	Command string // finds the calls about the secret
	// ByRequest finds the one call with the request id; "" where the service can't be
	// asked for one, and the events have to be looked through for it.
	ByRequest string
	Note      string // what limits the answer
}
