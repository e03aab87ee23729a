// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package emulatortest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

// Seed stores a secret, and fails the test if the service refuses it.
func Seed(t testing.TB, service emulator.Service, secret emulator.Secret) {
	t.Helper()
	if err := service.Seed(secret); err != nil {
		t.Fatal(err)
	}
}

// WantSeedsRefused tries to store secrets that make no sense, by what is wrong
// with them.
func WantSeedsRefused(t *testing.T, service emulator.Service, seeds map[string]emulator.Secret) {
	t.Helper()
	for name, seed := range seeds {
		t.Run(name, func(t *testing.T) {
			if err := service.Seed(seed); err == nil {
				t.Error("the seed was taken")
			}
		})
	}
}

// WantRestarted compares what a service shows with what another on the same
// files showed before, which must be count secrets.
func WantRestarted(t testing.TB, before, after []emulator.Secret, count int) {
	t.Helper()
	if len(before) != count || Describe(before) != Describe(after) {
		t.Errorf("the new server has\n%s\nwant %d secrets\n%s", Describe(after), count, Describe(before))
	}
}

// Describe writes secrets with times that compare.
func Describe(secrets []emulator.Secret) string {
	var b strings.Builder
	for _, s := range secrets {
		s.Created, s.DeletionTime = time.Unix(0, s.Created.UnixNano()), time.Unix(0, s.DeletionTime.UnixNano())
		for i := range s.Versions {
			s.Versions[i].Created = time.Unix(0, s.Versions[i].Created.UnixNano())
		}
		fmt.Fprintf(&b, "%+v\n", s)
	}
	return b.String()
}
