// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package bench

import (
	"fmt"
	"sync/atomic"
	"testing"
)

// BenchmarkReplicate keeps the whole engine busy, for a profile: a new version
// of a secret after the other, each until its replica is in sync, several at a
// time, through the cloud's SDK to an emulator in this process. No documented
// rate holds it up.
func BenchmarkReplicate(b *testing.B) {
	const secrets = 64
	m := openReplicating(b, dedicated)
	for i := range secrets {
		m.write(b, fmt.Sprintf("secrets/app/%d", i), map[string]any{"data": credentials(0), "destinations": dedicated.ref})
	}
	var serial atomic.Int64
	b.ReportAllocs()
	b.SetParallelism(clients)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := serial.Add(1)
			m.write(b, fmt.Sprintf("data/app/%d", i%secrets), map[string]any{"data": credentials(i)})
		}
	})
}
