// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package provider

import (
	"context"
	"slices"
	"time"
)

// Quota is how many calls of a group of operations a service allows per second,
// all callers of one account and region together.
type Quota struct {
	Group     string // names the group in metrics and status, e.g. "create_delete"
	PerSecond float64
	// Operations are the service's names of the calls that share the quota. One
	// quota without any is for all calls that no other names.
	Operations []string
}

// QuotaFor returns the quota of an operation; false if the service documents
// none.
func QuotaFor(quotas []Quota, operation string) (Quota, bool) {
	for _, q := range quotas {
		if slices.Contains(q.Operations, operation) {
			return q, true
		}
	}
	for _, q := range quotas {
		if len(q.Operations) == 0 {
			return q, true
		}
	}
	return Quota{}, false
}

// Gate stands before each remote call of a destination, also before the second
// one of a method that makes two, and hears how it ended. It may be used
// concurrently.
type Gate interface {
	// Enter returns when the call may be made. An error means that it may not;
	// then the provider returns that error, and Leave isn't called: as it is if it
	// is an [*Error], which shouldn't be ambiguous, else as the cause of one. Only
	// Check makes a finding of it, and Create a TagsError where the call for the
	// tags is one of its own.
	Enter(ctx context.Context, operation string) error
	// Leave hears of a call that was let in: its request id ("" without an
	// answer), how long it took, and its error as the provider's method returns
	// it, nil for success.
	Leave(ctx context.Context, operation, requestID string, took time.Duration, err error)
}
