// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package bench

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
)

// BenchmarkReplicate keeps the whole engine busy, for a profile: new versions of
// many secrets at a time, each until its replica is in sync, through the cloud's
// SDK to an emulator in this process. Each secret is in an account of its own,
// so that no documented rate holds the engine up.
func BenchmarkReplicate(b *testing.B) {
	processors := runtime.GOMAXPROCS(0)
	writers := 32 * processors
	over := bulk(writers)
	m := openReplicating(b, over...)
	for i, c := range over {
		m.write(b, fmt.Sprintf("secrets/app/%d", i), map[string]any{"data": credentials(0), "destinations": c.ref})
	}
	var writer, serial atomic.Int64
	b.ReportAllocs()
	b.SetParallelism(writers / processors)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		secret := fmt.Sprintf("data/app/%d", writer.Add(1)-1)
		for pb.Next() {
			m.write(b, secret, map[string]any{"data": credentials(serial.Add(1))})
		}
	})
}
