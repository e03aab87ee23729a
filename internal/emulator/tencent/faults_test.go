// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package tencent_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	ssm "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/ssm/v20190923"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/emulatortest"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/tencent"
)

func TestAFaultStrikesTheCallAndSaysWhetherItTookEffect(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		fault  emulator.Fault
		want   string // code of the put
		effect bool
		logged emulator.Call
	}{
		{
			"an error code comes instead of the work", emulator.Fails("PutSecretValue", "RequestLimitExceeded.UinLimitExceeded"),
			"RequestLimitExceeded.UinLimitExceeded", false,
			emulator.Call{Code: "RequestLimitExceeded.UinLimitExceeded", Fault: emulator.Error},
		},
		{
			"an error code can have an HTTP status",
			emulator.Fault{Kind: emulator.Error, Code: "InternalError", Status: 500, Operation: "PutSecretValue"},
			"InternalError", false,
			emulator.Call{Code: "InternalError", Fault: emulator.Error},
		},
		{
			"an error code can come after the work",
			emulator.Fault{Kind: emulator.Error, Code: "InternalError", AfterEffect: true, Operation: "PutSecretValue"},
			"InternalError", true,
			emulator.Call{Code: "InternalError", Fault: emulator.Error},
		},
		{
			"a proxy's page comes instead of the work",
			emulator.Fault{Kind: emulator.HTTP, Operation: "PutSecretValue"},
			"ClientError.ParseJsonError", false,
			emulator.Call{Fault: emulator.HTTP},
		},
		{
			"a connection is dropped before the work",
			emulator.Fault{Kind: emulator.Drop, Operation: "PutSecretValue"},
			"ClientError.NetworkError", false,
			emulator.Call{Fault: emulator.Drop},
		},
		{
			"an answer is lost after the work", emulator.LostReply("PutSecretValue"),
			"ClientError.NetworkError", true,
			emulator.Call{Fault: emulator.Drop},
		},
		{
			"a clock that is off expires the signature",
			emulator.Fault{Kind: emulator.Skew, Duration: 6 * time.Minute, Operation: "PutSecretValue"},
			"AuthFailure.SignatureExpire", false,
			emulator.Call{Code: "AuthFailure.SignatureExpire"},
		},
		{
			"a fault for another secret lets the call pass",
			emulator.Fault{Kind: emulator.Drop, Secret: "other"},
			"", true,
			emulator.Call{},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := start(t, tencent.Options{})
			c.create(t, "s", "value")
			emulatortest.AddFault(t, c.server, test.fault)
			wantCode(t, c.put("s", "v2", "value"), test.want)
			stored, _ := c.server.Inspect(region, "s")
			if _, there := stored.Version("v2"); there != test.effect {
				t.Errorf("the version is there: %v, want %v", there, test.effect)
			}
			emulatortest.WantLast(t, c.server, test.logged)
			c.server.Faults().ClearAll()
			_, err := c.get("s", "v1")
			wantCode(t, err, "")
		})
	}
}

func TestAnInjectedErrorDoesNotHideAWrongSignature(t *testing.T) {
	t.Parallel()
	server := atNoon(t)
	emulatortest.AddFault(t, server, emulator.Fails("", "RequestLimitExceeded"))
	w := newWire()
	w.account.AccessKeySecret = "wrong"
	if got := answerTo(t, server, w.request()); got.code != signatureFailure {
		t.Errorf("answered %+v", got)
	}
	calls := server.Calls().List()
	if calls[0].Fault != "" {
		t.Errorf("the refused call is logged as struck by %q", calls[0].Fault)
	}
}

func TestAHangingCallGoesOnWhenTheFaultIsCleared(t *testing.T) {
	t.Parallel()
	c := start(t, tencent.Options{})
	c.create(t, "s", "value")
	rule := emulatortest.AddFault(t, c.server, emulator.Fault{Kind: emulator.Hang, Operation: "PutSecretValue", Count: 1})
	done := make(chan error, 1)
	go func() { done <- c.put("s", "v2", "value") }()
	<-rule.Struck
	if stored, _ := c.server.Inspect(region, "s"); len(stored.Versions) != 1 {
		t.Error("the hanging call has done its work")
	}
	_, err := c.get("s", "v1") // others aren't held up
	wantCode(t, err, "")
	c.server.Faults().Clear(rule.ID)
	wantCode(t, <-done, "")
	if stored, _ := c.server.Inspect(region, "s"); len(stored.Versions) != 2 {
		t.Error("the call was let go and did nothing")
	}
}

func TestAHangingCallThatIsGivenUpHasItsEffectOnlyIfItWasToHave(t *testing.T) {
	t.Parallel()
	for _, after := range []bool{false, true} {
		c := start(t, tencent.Options{})
		c.create(t, "s", "value")
		rule := emulatortest.AddFault(t, c.server, emulator.Fault{Kind: emulator.Hang, Operation: "PutSecretValue", AfterEffect: after})
		ctx, cancel := context.WithCancel(context.Background())
		go func() {
			<-rule.Struck
			cancel()
		}()
		r := ssm.NewPutSecretValueRequest()
		r.SecretName, r.VersionId, r.SecretString = p("s"), p("v2"), p("value")
		_, err := c.PutSecretValueWithContext(ctx, r)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("the call ended with %v", err)
		}
		_, err = c.get("s", "v2")
		wantCode(t, err, map[bool]string{false: "ResourceNotFound", true: ""}[after])
	}
}

func TestADelayTakesItsTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server, err := tencent.New(tencent.Options{})
		if err != nil {
			t.Fatal(err)
		}
		client := clientFor(t, "http://emulator.test", emulator.ExampleAccount(), region)
		client.WithHttpTransport(emulatortest.Transport(server))
		c := cloud{client, server, ""}
		c.create(t, "s", "value")
		emulatortest.AddFault(t, server, emulator.Fault{Kind: emulator.Delay, Duration: 3 * time.Second, Operation: "GetSecretValue"})
		for range 2 {
			begin := time.Now()
			_, err = c.get("s", "v1")
			wantCode(t, err, "")
			if took := time.Since(begin); took != 3*time.Second {
				t.Errorf("the delayed call took %s", took)
			}
		}
		begin := time.Now()
		wantCode(t, c.put("s", "v2", "value"), "")
		if took := time.Since(begin); took != 0 {
			t.Errorf("another operation took %s", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		r := ssm.NewGetSecretValueRequest()
		r.SecretName, r.VersionId = p("s"), p("v1")
		if _, err := c.GetSecretValueWithContext(ctx, r); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the call with a deadline ended with %v", err)
		}
	})
}

func TestADroppedAnswerWithoutANetworkIsAnError(t *testing.T) {
	t.Parallel()
	server, err := tencent.New(tencent.Options{})
	if err != nil {
		t.Fatal(err)
	}
	client := clientFor(t, "http://emulator.test", emulator.ExampleAccount(), region)
	client.WithHttpTransport(emulatortest.Transport(server))
	c := cloud{client, server, ""}
	c.create(t, "s", "value")
	emulatortest.AddFault(t, server, emulator.LostReply("PutSecretValue"))
	wantCode(t, c.put("s", "v2", "value"), "ClientError.NetworkError")
	wantCode(t, c.put("s", "v2", "value"), "ResourceInUse.VersionIdExists")
}
