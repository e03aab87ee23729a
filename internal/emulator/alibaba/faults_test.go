// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package alibaba_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/services/kms"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/alibaba"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/emulatortest"
)

const unanswered = "not an API error"

func TestAFaultStrikesTheCallAndSaysWhetherItTookEffect(t *testing.T) {
	t.Parallel()
	on := func(f emulator.Fault) emulator.Fault {
		f.Operation = "PutSecretValue"
		return f
	}
	tests := []struct {
		name   string
		fault  emulator.Fault
		want   string // code of the put
		effect bool
		logged emulator.Call
	}{
		{"throttling by KMS has a status of its own", emulator.Fails("PutSecretValue", "Rejected.Throttling"), "Rejected.Throttling", false, emulator.Call{Code: "Rejected.Throttling", Fault: emulator.Error}},
		{"throttling by the gateway is a bad request", emulator.Fails("PutSecretValue", "Throttling"), "Throttling", false, emulator.Call{Code: "Throttling", Fault: emulator.Error}},
		{"throttling can have a subcode", emulator.Fails("PutSecretValue", "Throttling.User"), "Throttling.User", false, emulator.Call{Code: "Throttling.User", Fault: emulator.Error}},
		{"a failure of the service has its status", emulator.Fails("PutSecretValue", "InternalFailure"), "InternalFailure", false, emulator.Call{Code: "InternalFailure", Fault: emulator.Error}},
		{"so has its absence", emulator.Fails("PutSecretValue", "ServiceUnavailableTemporary"), "ServiceUnavailableTemporary", false, emulator.Call{Code: "ServiceUnavailableTemporary", Fault: emulator.Error}},
		{"a status can be chosen", on(emulator.Fault{Kind: emulator.Error, Code: "Rejected.Throttling", Status: 503}), "Rejected.Throttling with status Service Unavailable", false, emulator.Call{Code: "Rejected.Throttling", Fault: emulator.Error}},
		{"an error code can come after the work", on(emulator.Fault{Kind: emulator.Error, Code: "InternalFailure", AfterEffect: true}), "InternalFailure", true, emulator.Call{Code: "InternalFailure", Fault: emulator.Error}},
		{"a proxy's page comes instead of the work", on(emulator.Fault{Kind: emulator.HTTP}), " with status Bad Gateway", false, emulator.Call{Fault: emulator.HTTP}},
		{"an empty answer looks like success", on(emulator.Fault{Kind: emulator.HTTP, Status: 200, Empty: true}), "", false, emulator.Call{Fault: emulator.HTTP}},
		{"a connection is dropped before the work", on(emulator.Fault{Kind: emulator.Drop}), unanswered, false, emulator.Call{Fault: emulator.Drop}},
		{"an answer is lost after the work", emulator.LostReply("PutSecretValue"), unanswered, true, emulator.Call{Fault: emulator.Drop}},
		{"a clock that is off refuses the call", on(emulator.Fault{Kind: emulator.Skew, Duration: 16 * time.Minute}), "IllegalTimestamp", false, emulator.Call{Code: "IllegalTimestamp"}},
		{"a clock that is off a little doesn't", on(emulator.Fault{Kind: emulator.Skew, Duration: 14 * time.Minute}), "", true, emulator.Call{}},
		{"a fault for another secret lets the call pass", emulator.Fault{Kind: emulator.Drop, Secret: "other"}, "", true, emulator.Call{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := start(t, alibaba.Options{})
			c.create(t, "s", "value")
			emulatortest.AddFault(t, c.server, test.fault)
			got := code(c.put("s", "v2", "value"))
			if got != test.want && !(test.want == unanswered && strings.HasPrefix(got, unanswered)) {
				t.Errorf("the call ended with %q, want %q", got, test.want)
			}
			if _, there := c.stored(t, "s").Version("v2"); there != test.effect {
				t.Errorf("the version is there: %v, want %v", there, test.effect)
			}
			emulatortest.WantLast(t, c.server, test.logged)
			c.server.Faults().ClearAll()
			_, err := c.get("s", "v1", "")
			wantCode(t, err, "")
		})
	}
}

func TestAnInjectedErrorDoesNotHideAWrongSignature(t *testing.T) {
	t.Parallel()
	server := atNoon(t)
	emulatortest.AddFault(t, server, emulator.Fails("", "Rejected.Throttling"))
	w := newWire()
	w.account.AccessKeySecret = "wrong"
	wantAnswer(t, server, w.request(), noMatch)
}

func TestTheSDKsOwnRetriesAreNewCalls(t *testing.T) {
	t.Parallel()
	c := start(t, alibaba.Options{})
	c.create(t, "s", "value")
	c.GetConfig().WithAutoRetry(true)
	for range 2 {
		emulatortest.AddFault(t, c.server, emulator.Fails("PutSecretValue", "InternalFailure"))
	}
	wantCode(t, c.put("s", "v2", "value"), "") // each with a nonce of its own
	if n := c.server.Calls().Count("PutSecretValue"); n != 3 {
		t.Errorf("it took %d calls", n)
	}
}

func TestAHangingCallGoesOnWhenTheFaultIsCleared(t *testing.T) {
	t.Parallel()
	c := start(t, alibaba.Options{})
	c.create(t, "s", "value")
	rule := emulatortest.AddFault(t, c.server, emulator.Fault{Kind: emulator.Hang, Operation: "PutSecretValue", Count: 1})
	other := cloud{clientFor(t, c.endpoint, emulator.ExampleAccount(), region), c.server, c.endpoint}
	done := make(chan error, 1)
	go func() { done <- c.put("s", "v2", "value") }()
	<-rule.Struck
	_, err := other.get("s", "v1", "") // others aren't held up
	wantCode(t, err, "")
	if got := c.layout(t, "s"); got != "v1:ACSCurrent" {
		t.Errorf("the hanging call made it %s", got)
	}
	c.server.Faults().Clear(rule.ID)
	wantCode(t, <-done, "")
	if got := c.layout(t, "s"); got != "v1:ACSPrevious v2:ACSCurrent" {
		t.Errorf("the call was let go and made it %s", got)
	}
}

// within sends calls with a context, which this SDK has no way to give.
type within struct {
	ctx  context.Context
	next http.RoundTripper
}

func (w within) RoundTrip(r *http.Request) (*http.Response, error) {
	return w.next.RoundTrip(r.WithContext(w.ctx))
}

func TestAHangingCallThatIsGivenUpHasItsEffectOnlyIfItWasToHave(t *testing.T) {
	t.Parallel()
	for _, after := range []bool{false, true} {
		c := start(t, alibaba.Options{})
		c.create(t, "s", "value")
		rule := emulatortest.AddFault(t, c.server, emulator.Fault{Kind: emulator.Hang, Operation: "PutSecretValue", AfterEffect: after})
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-rule.Struck
			cancel()
		}()
		transport := within{ctx, emulatortest.Transport(c.server)}
		given := cloud{clientOver(t, transport, "http://emulator.test", emulator.ExampleAccount(), region), c.server, ""}
		if got := code(given.put("s", "v2", "value")); !strings.Contains(got, context.Canceled.Error()) {
			t.Errorf("the call ended with %s", got)
		}
		_, err := c.get("s", "v2", "")
		wantCode(t, err, map[bool]string{false: noSecret, true: ""}[after])
	}
}

func TestAnAnswerCanComeTooLateForTheSDK(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server, err := alibaba.New(alibaba.Options{})
		if err != nil {
			t.Fatal(err)
		}
		transport := plain{emulatortest.Transport(server)}
		c := cloud{clientOver(t, transport, "http://emulator.test", emulator.ExampleAccount(), region), server, ""}
		c.create(t, "s", "value")
		emulatortest.AddFault(t, server, emulator.Fault{Kind: emulator.Delay, Duration: time.Minute, AfterEffect: true, Operation: "PutSecretValue", Count: 1})
		begin := time.Now()
		r := kms.CreatePutSecretValueRequest()
		r.SecretName, r.VersionId, r.FormParams["SecretData"] = "s", "v2", "value"
		var unanswered *url.Error
		if _, err := c.PutSecretValue(r); !errors.As(err, &unanswered) || !unanswered.Timeout() {
			t.Errorf("the call ended with %v", err)
		}
		if took := time.Since(begin); took != 10*time.Second {
			t.Errorf("the SDK waited for %s", took)
		}
		wantCode(t, c.put("s", "v2", "other"), exists) // it has had its effect
		wantCode(t, c.put("s", "v2", "value"), "")
	})
}
