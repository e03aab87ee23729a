// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package emulatortest

import (
	"fmt"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

// SessionKeys gives a service two temporary access keys, both with the token
// "session": one that works for another minute, and one that just expired.
func SessionKeys(t testing.TB, service emulator.Service, now time.Time) (temporary, expired emulator.Account) {
	t.Helper()
	temporary = emulator.Account{
		AccessKeyID: "temporary", AccessKeySecret: "temporary-secret", SecurityToken: "session", TokenExpires: now.Add(time.Minute),
	}
	expired = emulator.Account{
		AccessKeyID: "expired", AccessKeySecret: "expired-secret", SecurityToken: "session", TokenExpires: now,
	}
	for _, a := range []emulator.Account{temporary, expired} {
		if err := service.Core().Accounts.Put(a); err != nil {
			t.Fatal(err)
		}
	}
	return temporary, expired
}

// Operations are those of the latest calls to a service, oldest first.
func Operations(service emulator.Service) []string {
	var operations []string
	for _, call := range service.Core().Calls.List() {
		operations = append(operations, call.Operation)
	}
	return operations
}

// Rate is what a service documents for an operation.
func Rate(service emulator.Service, operation string) (perSecond float64, documented bool) {
	rate, documented := service.Core().Rates.Documents(operation)
	return float64(rate.PerSecond), documented
}

// Enforce makes a service refuse what is over so many times its documented
// rates.
func Enforce(t testing.TB, service emulator.Service, factor float64) {
	t.Helper()
	if err := service.Core().Rates.Enforce(factor); err != nil {
		t.Fatal(err)
	}
}

// WantLast compares how the last call ended with code and fault of want.
func WantLast(t testing.TB, service emulator.Service, want emulator.Call) {
	t.Helper()
	calls := service.Core().Calls.List()
	if last := calls[len(calls)-1]; last.Code != want.Code || last.Fault != want.Fault {
		t.Errorf("logged as code %q by fault %q", last.Code, last.Fault)
	}
}

// WantCountedOnce wants each of the operations to be counted once, and all
// calls to be logged as calls for the secret "s" in region, without the word
// canary.
func WantCountedOnce(t testing.TB, service emulator.Service, region string, operations iter.Seq[string]) {
	t.Helper()
	counts := service.Core().Calls.Counts()
	for operation := range operations {
		if counts[operation] != 1 {
			t.Errorf("%s was counted %d times", operation, counts[operation])
		}
	}
	list := service.Core().Calls.List()
	for _, call := range list {
		if call.Secret != "s" || call.Region != region || call.RequestID == "" {
			t.Errorf("logged %+v", call)
		}
	}
	if strings.Contains(fmt.Sprintf("%+v", list), "canary") {
		t.Error("the call log shows a value")
	}
}

// WantOneWinner makes calls at the same time. One of them must end with
// success, "", and all others with refusal.
func WantOneWinner(t testing.TB, refusal string, calls []func() string) {
	t.Helper()
	begin, codes := make(chan struct{}), make(chan string, len(calls))
	for _, call := range calls {
		go func() {
			<-begin
			codes <- call()
		}()
	}
	close(begin)
	seen := make(map[string]int)
	for range calls {
		seen[<-codes]++
	}
	if seen[""] != 1 || seen[refusal] != len(calls)-1 {
		t.Errorf("the calls ended with %v", seen)
	}
}
