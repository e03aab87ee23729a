// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package harness

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"
)

// Patience is how long something may take that normally is a matter of seconds.
// It is generous, since a busy machine is no failure.
const Patience = 90 * time.Second

// pollEvery is the pause between two looks.
const pollEvery = 50 * time.Millisecond

// Eventually looks until look returns nil and fails the test with its last
// error when that takes longer than Patience.
func Eventually(tb testing.TB, what string, look func() error) {
	tb.Helper()
	if err := poll(look, nil); err != nil {
		tb.Fatalf("%s: %v", what, err)
	}
}

// poll gives up early when ended is closed.
func poll(look func() error, ended <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		err := look()
		if err == nil {
			return nil
		}
		select {
		case <-ended:
			return fmt.Errorf("the process has ended: %w", err)
		case <-ctx.Done():
			return fmt.Errorf("not within %s: %w", Patience, err)
		case <-tick.C:
		}
	}
}

// freeAddress returns a loopback address on which nobody listens now, so that a
// process can be started on it again and again.
func freeAddress(tb testing.TB) string {
	tb.Helper()
	var config net.ListenConfig
	listener, err := config.Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatalf("find a free port: %v", err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}
