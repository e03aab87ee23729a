// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package alibaba

import (
	"fmt"
	"testing"
)

func TestTheMemoryForNoncesIsBounded(t *testing.T) {
	t.Parallel()
	var n nonces
	for i := range keptNonces + 5 {
		if !n.take("key", fmt.Sprint(i)) {
			t.Fatalf("nonce %d isn't new", i)
		}
	}
	if len(n.seen) != keptNonces || len(n.ring) != keptNonces {
		t.Errorf("%d nonces are remembered, %d in order", len(n.seen), len(n.ring))
	}
	if n.used("key", "4") || !n.used("key", "5") || n.take("key", "5") || !n.take("key", "4") || n.used("key", "5") {
		t.Error("not the oldest one is forgotten")
	}
}
