// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package alibaba

import (
	"crypto/sha256"
	"sync"
)

// keptNonces bounds the memory: a nonce can be used again after so many others.
const keptNonces = 1 << 16

// nonces are the latest nonces of calls with a right signature. The zero value
// is ready. It is safe for concurrent use.
type nonces struct {
	mu   sync.Mutex
	seen map[[sha256.Size]byte]bool
	ring [][sha256.Size]byte // in order of arrival; a ring once it is full
	next int                 // position of the oldest in a full ring
}

func digestOf(accessKeyID, nonce string) [sha256.Size]byte {
	return sha256.Sum256([]byte(accessKeyID + "\n" + nonce))
}

// used tells whether a key's call with that nonce has been there.
func (n *nonces) used(accessKeyID, nonce string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.seen[digestOf(accessKeyID, nonce)]
}

// take notes a nonce, and tells whether it is new.
func (n *nonces) take(accessKeyID, nonce string) bool {
	digest := digestOf(accessKeyID, nonce)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.seen[digest] {
		return false
	}
	if n.seen == nil {
		n.seen = make(map[[sha256.Size]byte]bool)
	}
	n.seen[digest] = true
	if len(n.ring) < keptNonces {
		n.ring = append(n.ring, digest)
		return true
	}
	delete(n.seen, n.ring[n.next])
	n.ring[n.next] = digest
	n.next = (n.next + 1) % keptNonces
	return true
}
