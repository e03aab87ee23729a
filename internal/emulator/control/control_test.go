// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package control_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common"
	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/profile"
	ssm "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/ssm/v20190923"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/control"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/emulatortest"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/tencent"
)

var ref = emulator.Ref{Region: "ap-guangzhou", Name: "s"}

// start serves the control API of one service.
func start(t *testing.T) (*control.Client, *tencent.Server, string) {
	t.Helper()
	server, err := tencent.New(tencent.Options{})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(control.NewHandler(map[string]emulator.Service{tencent.ServiceName: server}))
	t.Cleanup(web.Close)
	return control.NewClient(web.URL, tencent.ServiceName), server, web.URL
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// callOnce makes a call that is refused, which is enough to be struck and counted.
func callOnce(ctx context.Context, server *tencent.Server) {
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", strings.NewReader(`{"SecretName":"s"}`))
	r.Header.Set("X-TC-Action", "DescribeSecret")
	server.ServeHTTP(httptest.NewRecorder(), r)
}

func TestFaultsAreAddedAwaitedAndCleared(t *testing.T) {
	t.Parallel()
	client, server, _ := start(t)
	ctx := t.Context()
	rule, err := client.AddFault(ctx, emulator.Fault{Kind: emulator.Hang, Operation: "DescribeSecret", Duration: time.Second})
	must(t, err)
	done := make(chan struct{})
	go func() {
		callOnce(ctx, server)
		close(done)
	}()
	must(t, client.AwaitFault(ctx, rule.ID))
	rules, err := client.Faults(ctx)
	must(t, err)
	if len(rules) != 1 || rules[0].Hits != 1 || rules[0].Fault != rule.Fault || rule.Fault.Duration != time.Second {
		t.Errorf("the faults are %+v, added was %+v", rules, rule)
	}
	must(t, client.ClearFault(ctx, rule.ID))
	<-done
	if err := client.ClearFault(ctx, rule.ID); err == nil {
		t.Error("an absent fault was cleared")
	}
	_, err = client.AddFault(ctx, emulator.Fault{Kind: emulator.Drop})
	must(t, err)
	must(t, client.ClearFaults(ctx))
	if left := server.Faults().List(); len(left) != 0 {
		t.Errorf("faults are left: %v", left)
	}
	if _, err := client.AddFault(ctx, emulator.Fault{Kind: "flood"}); err == nil || !strings.Contains(err.Error(), "flood") {
		t.Errorf("an unknown kind gave %v", err)
	}
}

func TestCallsAreReadAndReset(t *testing.T) {
	t.Parallel()
	client, server, _ := start(t)
	callOnce(t.Context(), server)
	calls, err := client.Calls(t.Context())
	must(t, err)
	if calls.Total != 1 || calls.Counts["DescribeSecret"] != 1 || calls.Calls[0].Secret != "s" {
		t.Errorf("read %+v", calls)
	}
	must(t, client.ResetCalls(t.Context()))
	if server.Calls().Total() != 0 {
		t.Error("calls are there after the reset")
	}
}

func TestSecretsAreSeededAndInspected(t *testing.T) {
	t.Parallel()
	client, server, _ := start(t)
	ctx := t.Context()
	if _, found, err := client.Find(ctx, ref); found || err != nil {
		t.Errorf("an absent secret was found: %v, %v", found, err)
	}
	seed := emulator.Secret{
		Ref: ref, Type: "1", Description: "foreign", Tags: map[string]string{"k": "v"},
		Versions: []emulator.Version{{ID: "v1", Text: "value"}, {ID: "v2", Binary: []byte{0, 255}}},
	}
	must(t, client.Seed(ctx, seed))
	got, found, err := client.Find(ctx, ref)
	must(t, err)
	if !found || got.Type != "1" || got.Description != "foreign" || got.Versions[0].Text != "value" || got.Versions[1].Binary[1] != 255 {
		t.Errorf("found %+v", got)
	}
	list, err := client.List(ctx, emulator.ExampleAccountID, ref.Region)
	must(t, err)
	if len(list) != 1 || list[0].Name != "s" {
		t.Errorf("listed %v", list)
	}
	if stored, _ := server.Inspect(ref.Region, ref.Name); stored.Tags["k"] != "v" {
		t.Errorf("stored %+v", stored)
	}
	if err := client.Seed(ctx, emulator.Secret{Ref: emulator.Ref{Region: "xx", Name: "s"}}); err == nil {
		t.Error("a seed in an unknown region was taken")
	}
}

func TestTimeElapsesForTheSecretsOfARegion(t *testing.T) {
	t.Parallel()
	client, server, _ := start(t)
	ctx := t.Context()
	deleting := emulator.Secret{Ref: ref, State: "PendingDelete", DeletionTime: server.Clock().Now().Add(48 * time.Hour)}
	must(t, client.Seed(ctx, deleting))
	for _, step := range []struct {
		region string
		d      time.Duration
		there  bool
	}{{ref.Region, 24 * time.Hour, true}, {"ap-beijing", 72 * time.Hour, true}, {ref.Region, 72 * time.Hour, false}} {
		must(t, client.Elapse(ctx, "", step.region, step.d))
		if _, there := server.Inspect(ref.Region, ref.Name); there != step.there || server.Clock().Offset() != 0 {
			t.Errorf("after %s in %s the secret is there: %v, and the clock is ahead by %s", step.d, step.region, there, server.Clock().Offset())
		}
	}
	if err := client.Elapse(ctx, "", ref.Region, -time.Hour); err == nil {
		t.Error("time went back")
	}
}

func TestClockAccountsKeysAndSwitchesAreSet(t *testing.T) {
	t.Parallel()
	client, server, _ := start(t)
	ctx := t.Context()
	must(t, client.SetClockOffset(ctx, 48*time.Hour))
	if got := server.Clock().Offset(); got != 48*time.Hour {
		t.Errorf("the offset is %s", got)
	}
	must(t, client.PutAccount(ctx, emulator.Account{AccessKeyID: "a/b", AccessKeySecret: "x", Denied: []string{"GetSecretValue"}}))
	account, found := server.Accounts().Find("a/b")
	if !found || account.Allows("GetSecretValue") || !account.Allows("PutSecretValue") || account.AccountID != emulator.ExampleAccountID {
		t.Errorf("the account is %+v, denied %v", account, account.Denied)
	}
	must(t, client.RemoveAccount(ctx, "a/b"))
	if err := client.RemoveAccount(ctx, "a/b"); err == nil {
		t.Error("an absent account was removed")
	}
	must(t, client.PutKMSKey(ctx, emulator.KMSKey{ID: "key", Region: "ap-beijing"}))
	if !server.KMSKeys().Usable("ap-beijing", "key") || server.KMSKeys().Usable("ap-guangzhou", "key") {
		t.Error("the key isn't usable in its region alone")
	}
	must(t, client.SetSwitches(ctx, tencent.Switches{ValueLimit: 4096}))
	if got := string(server.Switches()); got != `{"value_limit":4096}` {
		t.Errorf("the switches are %s", got)
	}
	for name, bad := range map[string]any{"unknown": map[string]int{"volume": 11}, "impossible": tencent.Switches{TagCode: 3}} {
		if err := client.SetSwitches(ctx, bad); err == nil {
			t.Errorf("an %s switch was taken", name)
		}
	}
}

func TestStrangersAreTurnedAway(t *testing.T) {
	t.Parallel()
	_, _, url := start(t)
	if _, err := control.NewClient(url, "other").Calls(t.Context()); err == nil {
		t.Error("a service that isn't there answered")
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/v1/tencent-ssm/calls", http.NoBody)
	must(t, err)
	r.Header.Set("Origin", "http://elsewhere.test")
	answer, err := http.DefaultClient.Do(r)
	must(t, err)
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusForbidden {
		t.Errorf("a web page got %s", answer.Status)
	}
}

func TestRatesAreEnforcedWhileAskedForAndThrottledCallsCounted(t *testing.T) {
	t.Parallel()
	client, server, _ := start(t)
	ctx := t.Context()
	describe := func(calls int) (throttled int) {
		must(t, client.ResetCalls(ctx))
		for range calls {
			signedCall(t, server)
		}
		counted, err := client.Calls(ctx)
		must(t, err)
		if counted.Counts["DescribeSecret"] != calls {
			t.Errorf("counted %v of %d calls", counted.Counts, calls)
		}
		return counted.Throttled["DescribeSecret"]
	}
	must(t, client.SetLatency(ctx, time.Millisecond))
	if n := describe(10); n != 0 {
		t.Errorf("%d calls were throttled by default", n)
	}
	must(t, client.EnforceRates(ctx, 0.01)) // one per second
	rates, err := client.Rates(ctx)
	must(t, err)
	if rates.Factor != 0.01 || len(rates.Documented) == 0 || rates.Documented[0].PerSecond != 300 {
		t.Errorf("the rates are %+v", rates)
	}
	if n := describe(10); n < 1 {
		t.Error("no call was throttled")
	}
	must(t, client.EnforceRates(ctx, 0))
	if n := describe(10); n != 0 {
		t.Errorf("%d calls were throttled after the end", n)
	}
	if err := client.EnforceRates(ctx, -1); err == nil {
		t.Error("a negative factor was taken")
	}
}

// signedCall describes a secret that isn't there.
func signedCall(t *testing.T, server *tencent.Server) {
	t.Helper()
	account := emulator.ExampleAccount()
	settings := profile.NewClientProfile()
	settings.HttpProfile.Scheme, settings.HttpProfile.Endpoint = "http", "emulated"
	api, err := ssm.NewClient(common.NewCredential(account.AccessKeyID, account.AccessKeySecret), ref.Region, settings)
	must(t, err)
	api.WithHttpTransport(emulatortest.Transport(server))
	r := ssm.NewDescribeSecretRequest()
	r.SecretName = &ref.Name
	_, _ = api.DescribeSecret(r)
}

func TestALatencyIsThatOfEveryCallUntilTheFaultsAreCleared(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server, err := tencent.New(tencent.Options{})
		must(t, err)
		// The client reaches the API without a network, which a bubble can't wait for.
		handler := control.NewHandler(map[string]emulator.Service{tencent.ServiceName: server})
		request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/tencent-ssm/faults", strings.NewReader(`{"kind":"delay","duration":"40ms"}`))
		handler.ServeHTTP(httptest.NewRecorder(), request)
		begin := time.Now()
		var calls sync.WaitGroup
		for range 100 {
			calls.Go(func() { callOnce(t.Context(), server) })
		}
		calls.Wait()
		if took := time.Since(begin); took != 40*time.Millisecond {
			t.Errorf("a hundred calls at once took %v", took)
		}
		server.Faults().ClearAll()
		begin = time.Now()
		if callOnce(t.Context(), server); time.Since(begin) != 0 {
			t.Errorf("a call took %v after the end", time.Since(begin))
		}
	})
}
