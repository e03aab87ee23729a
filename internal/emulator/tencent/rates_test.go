// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package tencent_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	ssm "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/ssm/v20190923"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/emulatortest"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/tencent"
)

func TestCallsAreLetThroughAtTheDocumentedRateAsTheyArrive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server, err := tencent.New(tencent.Options{Options: emulator.Options{RateFactor: 1}})
		if err != nil {
			t.Fatal(err)
		}
		emulatortest.AddFault(t, server, emulator.Fault{Kind: emulator.Delay, Duration: 3 * time.Second})
		client := clientFor(t, "http://emulated", emulator.ExampleAccount(), region)
		client.WithHttpTransport(emulatortest.Transport(server))
		burst := func(calls int) (refused int) {
			var all sync.WaitGroup
			var throttled atomic.Int32
			for range calls {
				all.Go(func() {
					r := ssm.NewListSecretsRequest()
					if _, err := client.ListSecretsWithContext(t.Context(), r); code(err) == "RequestLimitExceeded" {
						throttled.Add(1)
					} else if err != nil {
						t.Errorf("a call ended with %v", err)
					}
				})
			}
			all.Wait()
			return int(throttled.Load())
		}
		if refused := burst(35); refused != 5 { // of ListSecrets 30 are documented
			t.Errorf("%d of 35 calls at once were refused", refused)
		}
		if refused := burst(30); refused != 0 {
			t.Errorf("%d of 30 calls were refused seconds later", refused)
		}
		if refused := server.Calls().Throttled()["ListSecrets"]; refused != 5 {
			t.Errorf("%d refusals are counted", refused)
		}
	})
}

func TestEachCallForManagedSecretsHasItsRate(t *testing.T) {
	t.Parallel()
	server, err := tencent.New(tencent.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, operation := range []string{
		"CreateProductSecret", "CreateSSHKeyPairSecret", "GetSSHKeyPairValue", "DescribeAsyncRequestInfo", "DescribeRotationDetail",
		"DescribeRotationHistory", "DescribeSupportedProducts", "RotateProductSecret", "UpdateRotationStatus",
	} {
		if rate, documented := emulatortest.Rate(server, operation); !documented || rate != 20 {
			t.Errorf("%s may be called %v times a second, want 20", operation, rate)
		}
	}
}
