// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package plan_test

import (
	"testing"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/plan"
)

func BenchmarkMake(b *testing.B) {
	for _, bench := range []struct {
		name string
		want plan.Desired
		have plan.Observed
	}{
		{"create", tencent.live(1), plan.Absent()},
		{"update", tencent.live(5), tencent.holding(1, 4)},
		{"update-full", tencent.live(10), tencent.holding(1, 9)}, // at the limit of versions: makes room
		{"in-sync", tencent.live(9), tencent.holding(1, 9)},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				plan.Make(bench.want, bench.have, tencent.can, tencent.limits)
			}
		})
	}
}
