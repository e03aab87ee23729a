// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package payload_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/payload"
)

func BenchmarkEncode(b *testing.B) {
	for _, size := range []int{1 << 10, 32 << 10} {
		b.Run(fmt.Sprintf("json/%dKiB", size>>10), func(b *testing.B) {
			data := settings(size)
			b.SetBytes(int64(size))
			for b.Loop() {
				if _, err := payload.Encode(data, payload.JSON); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDigest(b *testing.B) {
	const size = 32 << 10
	value, err := payload.Encode(settings(size), payload.JSON)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(size)
	for b.Loop() {
		payload.Digest([]byte("key of the mount"), value)
	}
}

// settings is data of about that many bytes, in values of 64.
func settings(bytes int) map[string]any {
	const perKey = 64 + len(`"setting-0000":"",`)
	data := map[string]any{}
	for i := range bytes / perKey {
		data[fmt.Sprintf("setting-%04d", i)] = strings.Repeat("x", 64)
	}
	return data
}
