// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

var (
	errSilent  = &provider.Error{Class: provider.ClassUnavailable}
	errFaulty  = &provider.Error{Class: provider.ClassUnavailable, Code: "InternalError"}
	errRefusal = &provider.Error{Class: provider.ClassPermission}
)

func described(err error) *Failure { return &Failure{Class: provider.ClassOf(err)} }

func isOpen(b *breaker) bool {
	since, _ := b.away()
	return !since.IsZero()
}

// openBreaker returns a breaker that is open.
func openBreaker() *breaker {
	b := &breaker{}
	for i := range opensAfter {
		b.gaveUp(fmt.Sprint(i), errSilent, described)
	}
	return b
}

func TestWhatOpensABreaker(t *testing.T) {
	type try struct {
		name string
		err  error // nil for an answer
	}
	tests := map[string]struct {
		tries []try
		want  bool
	}{
		"no answer at all, three times":        {[]try{{"a", errSilent}, {"a", errSilent}, {"a", errSilent}}, true},
		"twice is not enough":                  {[]try{{"a", errSilent}, {"b", errSilent}}, false},
		"an answer between":                    {[]try{{"a", errSilent}, {"b", errSilent}, {"c", nil}, {"d", errSilent}}, false},
		"faults for three secrets":             {[]try{{"a", errFaulty}, {"b", errFaulty}, {"c", errFaulty}}, true},
		"faults for one secret say nothing":    {[]try{{"a", errFaulty}, {"a", errFaulty}, {"a", errFaulty}, {"a", errFaulty}}, false},
		"other failures are answers":           {[]try{{"a", errRefusal}, {"b", errRefusal}, {"c", errRefusal}}, false},
		"failures of our own storage":          {[]try{{"a", errors.New("storage")}, {"b", errors.New("storage")}, {"c", errors.New("storage")}}, false},
		"work without a call changes nothing":  {[]try{{"a", errSilent}, {"b", errSilent}, {"c", errStorage}, {"d", errSilent}}, true},
		"an answer after it opened closes it":  {[]try{{"a", errSilent}, {"b", errSilent}, {"c", errSilent}, {"d", nil}}, false},
		"and it takes three again to open one": {[]try{{"a", errSilent}, {"b", errSilent}, {"c", errSilent}, {"d", nil}, {"e", errSilent}, {"f", errSilent}}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			b := &breaker{}
			for _, try := range test.tries {
				if try.err == nil {
					b.answered()
				}
				b.gaveUp(try.name, try.err, described)
			}
			if got := isOpen(b); got != test.want {
				t.Errorf("open: %t", got)
			}
		})
	}
}

func TestAnOpenBreakerLetsOneTryAtATime(t *testing.T) {
	for name, end := range map[string]func(b *breaker){
		"it fails":                          func(b *breaker) { b.gaveUp("probe", errSilent, described) },
		"it ends without a call":            func(b *breaker) { b.gaveUp("probe", nil, described) },
		"it fails in storage":               func(b *breaker) { b.gaveUp("probe", errStorage, described) },
		"others fail that were under way":   func(b *breaker) { b.gaveUp("a", errSilent, described); b.gaveUp("probe", errSilent, described) },
		"others that were under way end so": func(b *breaker) { b.gaveUp("a", nil, described); b.gaveUp("probe", nil, described) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := openBreaker()
				if ok, until, failure := b.admits("other"); ok || !until.After(time.Now()) || failure == nil {
					t.Errorf("right after it opened: %t, until %v, %v", ok, until, failure)
				}
				for range 20 {
					time.Sleep(longestProbe)
					if ok, _, _ := b.admits("probe"); !ok {
						t.Fatal("nobody may try")
					}
					if ok, until, _ := b.admits("other"); ok || !until.After(time.Now()) {
						t.Fatal("two may try at a time")
					}
					end(b)
				}
				time.Sleep(longestProbe)
				b.admits("probe")
				if !b.answered() || b.answered() || isOpen(b) {
					t.Error("an answer doesn't close it once")
				}
				if ok, _, _ := b.admits("any"); !ok {
					t.Error("a closed one doesn't admit")
				}
			})
		})
	}
}

func TestWhatWasUnderWayWhenABreakerOpenedDelaysNoProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := openBreaker()
		for i := range workersPerDestination {
			b.gaveUp(fmt.Sprintf("under way %d", i), errSilent, described)
		}
		time.Sleep(firstRetry)
		if ok, until, _ := b.admits("probe"); !ok {
			t.Errorf("the first probe waits for another %v", time.Until(until))
		}
	})
}

func TestWhatWasUnderWayWhenAProbeBeganMakesRoomForNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := openBreaker()
		time.Sleep(longestProbe)
		b.admits("probe")
		b.gaveUp("under way", nil, described)
		if ok, _, _ := b.admits("other"); ok {
			t.Error("two try at a time")
		}
	})
}
