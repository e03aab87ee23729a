// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package bench

import (
	"flag"
	"time"
)

var (
	full    = flag.Bool("full", false, "measure with many secrets, and print the figures")
	long    = flag.Bool("long", false, "with -full: replicate 2,000 secrets also where the cloud allows ten a second, adopt 1,000 in each cloud, and let a cloud be away for ten minutes")
	rounds  = flag.Int("rounds", 6, "how often to measure what varies, times three for requests, with -full")
	outPath = flag.String("figures", "", "file to write the figures to in the benchmark format, for benchstat")
)

// effort is how much is measured.
type effort struct {
	// replicas is how many are made for a rate, but not more than the cloud
	// allows in the window; 0 is no bound.
	replicas int
	window   time.Duration

	rounds  int           // of what varies from one to the next
	longest time.Duration // for all rounds together; the first one is never cut short
	alone   int           // requests in a row by one client
	crowd   int           // requests by eight clients together

	latency  time.Duration // of each remote call
	probes   int           // of the time from a write to the remote
	sizes    []int         // secrets in the large mount
	accounts int           // that its secrets are spread over
	backlog  int           // pending at a restart of the large mount
	pending  int           // when a process is killed
	missed   int           // written while a cloud is away
	away     time.Duration // how long that is
	repeats  int           // of counted operations
	estate   int           // secrets that are adopted in each cloud
}

func measured() effort {
	if !*full {
		return effort{
			replicas: 6, rounds: 1, longest: time.Hour, alone: 4, crowd: 8, latency: time.Millisecond,
			probes: 2, sizes: []int{4, 8}, accounts: 2, backlog: 4, pending: 4, missed: 4, repeats: 3, estate: 4,
		}
	}
	e := effort{
		replicas: 2000, window: 12 * time.Second, rounds: 3 * *rounds, longest: 75 * time.Second, alone: 20, crowd: 80, latency: 20 * time.Millisecond,
		probes: 30, sizes: []int{10, 2000, 20000}, accounts: 16, backlog: 1000, pending: 150, missed: 100, away: time.Minute, repeats: 100, estate: 100,
	}
	if *long {
		e.window, e.away, e.estate = 0, 10*time.Minute, 1000
	}
	return e
}

// replicasAt is how many replicas are made where so many a second are allowed.
func (e effort) replicasAt(allowed float64) int {
	if e.window == 0 {
		return e.replicas
	}
	return min(e.replicas, int(allowed*e.window.Seconds()))
}
