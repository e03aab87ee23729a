// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package emulator

import (
	"math"
	"testing"
	"time"
)

func rated(t *testing.T, factor float64, documented Throttling) *Rates {
	t.Helper()
	documented.Refusal = func(limit int) *Failure { return &Failure{Code: "Throttled", Status: limit} }
	s := NewRates(documented)
	if err := s.Enforce(factor); err != nil {
		t.Fatal(err)
	}
	return s
}

func callOf(operation, region, account, key string) *Request {
	return &Request{Target: Target{Operation: operation, Region: region}, Account: Account{AccountID: account, AccessKeyID: key}}
}

func TestASlidingSecondHasAtMostAsManyCallsAsTheLimit(t *testing.T) {
	t.Parallel()
	begin := time.Now()
	s := rated(t, 1, Throttling{Rates: []Rate{{PerSecond: 3, Operations: []string{"Put"}}}})
	for _, step := range []struct {
		after time.Duration
		let   bool
	}{
		{0, true},
		{400 * time.Millisecond, true},
		{900 * time.Millisecond, true},
		{950 * time.Millisecond, false},
		{999 * time.Millisecond, false}, // refused calls don't count
		{time.Second, true},
		{1300 * time.Millisecond, false},
		{1400 * time.Millisecond, true},
		{1899 * time.Millisecond, false},
		{1900 * time.Millisecond, true},
		{10 * time.Second, true},
	} {
		if let := s.admit(callOf("Put", "r", "1", "k"), begin.Add(step.after)) == nil; let != step.let {
			t.Errorf("after %v: let through %t, want %t", step.after, let, step.let)
		}
	}
}

func TestCallsAreCountedForWhatIsDocumented(t *testing.T) {
	t.Parallel()
	perRegion := Throttling{Rates: []Rate{{PerSecond: 1, Operations: []string{"Put", "Delete"}}, {PerSecond: 2, Operations: []string{"Get"}}}}
	all := Throttling{Rates: []Rate{{PerSecond: 1}}}
	perKey := Throttling{Rates: []Rate{{PerSecond: 1}}, PerKey: true}
	first := callOf("Put", "r", "1", "k")
	for name, test := range map[string]struct {
		documented Throttling
		factor     float64
		second     *Request
		let        bool
	}{
		"the same call again is one too many":                {perRegion, 1, first, false},
		"the calls of a group share the limit":               {perRegion, 1, callOf("Delete", "r", "1", "k"), false},
		"another group has its own":                          {perRegion, 1, callOf("Get", "r", "1", "k"), true},
		"what has no documented rate is let through":         {perRegion, 1, callOf("Other", "r", "1", "k"), true},
		"another key of the account shares it":               {perRegion, 1, callOf("Put", "r", "1", "other"), false},
		"another account doesn't":                            {perRegion, 1, callOf("Put", "r", "2", "other"), true},
		"another region doesn't":                             {perRegion, 1, callOf("Put", "other", "1", "k"), true},
		"a limit of all calls is shared by every operation":  {all, 1, callOf("Other", "r", "1", "k"), false},
		"a call that the service doesn't have isn't counted": {all, 1, callOf("", "r", "1", "k"), true},
		"by key, another region shares it":                   {perKey, 1, callOf("Put", "other", "1", "k"), false},
		"by key, another key of the account doesn't":         {perKey, 1, callOf("Put", "r", "1", "other"), true},
		"twice the documented rate lets another through":     {perRegion, 2, first, true},
		"a part of a call is none, but one per second stays": {perRegion, 0.1, first, false},
		"rates that aren't enforced let everything through":  {perRegion, 0, first, true},
	} {
		s, now := rated(t, test.factor, test.documented), time.Now()
		if failure := s.admit(first, now); failure != nil {
			t.Errorf("%s: the first call is refused", name)
		}
		if let := s.admit(test.second, now) == nil; let != test.let {
			t.Errorf("%s: let through %t", name, let)
		}
	}
}

func TestAFactorThatMakesNoSenseIsRefused(t *testing.T) {
	t.Parallel()
	for _, factor := range []float64{-1, math.NaN(), math.Inf(1), maxRateFactor + 1} {
		if NewRates(Throttling{}).Enforce(factor) == nil {
			t.Errorf("the factor %v was taken", factor)
		}
	}
	if _, err := NewCore(Options{RateFactor: -1}, Throttling{}); err == nil {
		t.Error("a service was made with a negative factor")
	}
}
