// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package quota

import "context"

// Lane is whose work a call is part of. Where calls wait for one quota, those
// of an earlier lane go first.
type Lane int

// The lanes, most urgent first.
const (
	People Lane = iota // what somebody wrote or asked for
	Retry              // what failed before
	Bulk               // what a change of settings touches, verification, imports
	laneCount
)

// Lanes are all lanes, most urgent first.
func Lanes() []Lane { return []Lane{People, Retry, Bulk} }

// String is the lane's name in status and metrics.
func (l Lane) String() string {
	switch l {
	case People:
		return "people"
	case Retry:
		return "retry"
	default:
		return "bulk"
	}
}

type laneKey struct{}

// WithLane returns a context whose calls wait in the lane.
func WithLane(ctx context.Context, lane Lane) context.Context {
	return context.WithValue(ctx, laneKey{}, lane)
}

// laneOf returns the lane of ctx, People without one.
func laneOf(ctx context.Context) Lane {
	lane, _ := ctx.Value(laneKey{}).(Lane)
	return lane
}
