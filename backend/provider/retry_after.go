// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package provider

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// MaxRetryAfter bounds what a service can make a caller wait. It is as long as
// the longest pause between two tries.
const MaxRetryAfter = 5 * time.Minute

// RetryAfter reads the Retry-After header of an answer, in seconds or as a date,
// which is taken relative to the answer's own Date if it has one. It is 0
// without a legal header and for a time that is past.
func RetryAfter(header http.Header) time.Duration {
	text := strings.TrimSpace(header.Get("Retry-After"))
	if seconds, err := strconv.ParseUint(text, 10, 63); err == nil {
		return BoundedRetryAfter(seconds, time.Second)
	}
	until, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	now, err := http.ParseTime(header.Get("Date"))
	if err != nil {
		now = time.Now()
	}
	return min(max(0, until.Sub(now)), MaxRetryAfter)
}

// BoundedRetryAfter is a service's hint of so many units, at most
// [MaxRetryAfter].
func BoundedRetryAfter(count uint64, unit time.Duration) time.Duration {
	if count > uint64(MaxRetryAfter/unit) { //nolint:gosec // positive
		return MaxRetryAfter
	}
	return time.Duration(count) * unit //nolint:gosec // a few minutes
}
