// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package quota

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// calls are when calls were let in, in their order.
type calls struct {
	mu    sync.Mutex
	times []time.Time
	names []string
	all   sync.WaitGroup
}

// enter lets a call in as soon as the pacer does.
func (c *calls) enter(t *testing.T, p *Pacer, lane Lane, operation, name string) {
	c.all.Go(func() {
		if err := p.Enter(WithLane(context.Background(), lane), operation); err != nil {
			t.Error(err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.times, c.names = append(c.times, time.Now()), append(c.names, name)
	})
}

// most is how many of the calls came within any second.
func (c *calls) most() (most int) {
	for i := range c.times {
		n := 0
		for _, later := range c.times[i:] {
			if later.Sub(c.times[i]) < time.Second {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}

func quotas(perSecond float64) []provider.Quota {
	return []provider.Quota{{Group: "write", PerSecond: perSecond, Operations: []string{"Write", "Put"}}, {Group: "read", PerSecond: 10 * perSecond, Operations: []string{"Read"}}}
}

func TestNoSecondSeesMoreCallsThanTheRate(t *testing.T) {
	tests := map[string]struct {
		documented, own float64
		destinations    int
		want            int
	}{
		"one destination":                              {documented: 20, destinations: 1, want: 20},
		"some destinations of one account":             {documented: 20, destinations: 3, want: 20},
		"a fast service":                               {documented: 500, destinations: 2, want: 500},
		"a slow service":                               {documented: 1, destinations: 1, want: 1},
		"a destination with a lower limit of its own":  {documented: 100, own: 5, destinations: 1, want: 5},
		"a destination with a higher limit of its own": {documented: 5, own: 100, destinations: 1, want: 5},
		"no documented rate and an own limit":          {own: 7, destinations: 1, want: 7},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var accounts Accounts
				var c calls
				begin := time.Now()
				n := 5 * test.want
				for i := range test.destinations {
					var documented []provider.Quota
					if test.documented > 0 {
						documented = quotas(test.documented)
					}
					p := accounts.Open("account", documented, test.own)
					t.Cleanup(p.Close)
					for j := range n / test.destinations {
						c.enter(t, p, Lane((i+j)%int(laneCount)), []string{"Write", "Put"}[j%2], "")
					}
				}
				c.all.Wait()
				if got := c.most(); got > test.want {
					t.Errorf("within a second there are %d calls, %d are allowed", got, test.want)
				}
				if took := time.Since(begin); took > 8*time.Second {
					t.Errorf("%d calls took %v", n, took)
				}
			})
		})
	}
}

func TestWhateverComesWhenTheRateIsHeld(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		rate := rapid.IntRange(1, 60).Draw(rt, "rate")
		pauses := rapid.SliceOfN(rapid.IntRange(0, 300), 20, 120).Draw(rt, "pauses")
		var most int
		synctest.Test(t, func(t *testing.T) {
			var accounts Accounts
			var c calls
			p := accounts.Open("account", quotas(float64(rate)), 0)
			defer p.Close()
			for _, pause := range pauses {
				time.Sleep(time.Duration(pause) * time.Millisecond / 4)
				c.enter(t, p, Lane(pause%int(laneCount)), "Write", "")
			}
			c.all.Wait()
			most = c.most()
		})
		if most > rate {
			rt.Fatalf("within a second there are %d calls, %d are allowed", most, rate)
		}
	})
}

func TestUrgentCallsGoFirstAndThenThoseWhoCameFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var accounts Accounts
		var c calls
		p := accounts.Open("account", quotas(1), 0)
		defer p.Close()
		c.enter(t, p, Bulk, "Write", "begun")
		synctest.Wait()
		for _, name := range []string{"b1", "b2", "r1", "p1", "r2", "p2", "b3"} {
			c.enter(t, p, map[byte]Lane{'b': Bulk, 'r': Retry, 'p': People}[name[0]], "Write", name)
			synctest.Wait()
		}
		c.all.Wait()
		if want := []string{"begun", "p1", "p2", "r1", "r2", "b1", "b2", "b3"}; !slices.Equal(c.names, want) {
			t.Errorf("they went as %v", c.names)
		}
	})
}

func TestAnotherGroupDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var accounts Accounts
		var c calls
		p := accounts.Open("account", quotas(1), 0)
		defer p.Close()
		for range 5 {
			c.enter(t, p, People, "Write", "write")
		}
		synctest.Wait()
		c.enter(t, p, Bulk, "Read", "read")
		c.enter(t, p, Bulk, "Unknown", "unknown")
		synctest.Wait()
		c.mu.Lock()
		if len(c.names) != 3 {
			t.Errorf("at once went only %v", c.names)
		}
		c.mu.Unlock()
		c.all.Wait()
	})
}

func TestAThrottledBucketRestsSlowsDownAndRecovers(t *testing.T) {
	tests := map[string]struct{ hint, want time.Duration }{
		"without a hint":           {0, rest},
		"with a hint":              {7 * time.Second, 7 * time.Second},
		"with a hint beyond sense": {24 * time.Hour, longestRest},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var accounts Accounts
				p, other := accounts.Open("account", quotas(10), 0), accounts.Open("account", quotas(10), 0)
				defer p.Close()
				defer other.Close()
				begin := time.Now()
				for range 8 { // calls that were sent together
					p.Throttled("Write", test.hint)
				}
				if got := p.Slowed()["write"]; math.Abs(got-10*slower) > 0.01 {
					t.Errorf("the rate is %v", got)
				}
				if err := other.Enter(t.Context(), "Put"); err != nil {
					t.Fatal(err)
				}
				if got := time.Since(begin); got < test.want || got > test.want+time.Second {
					t.Errorf("the next call of the account goes after %v", got)
				}
				time.Sleep(time.Minute)
				if slowed := p.Slowed(); len(slowed) > 0 {
					t.Errorf("after a minute the rate is %v", slowed)
				}
			})
		})
	}
}

func TestABucketThatIsThrottledAgainAndAgainNeverStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var accounts Accounts
		p := accounts.Open("account", quotas(10), 0)
		defer p.Close()
		for range 100 {
			if err := p.Enter(t.Context(), "Write"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Millisecond)
			p.Throttled("Write", 0)
		}
		if got := p.Slowed()["write"]; got < 10*slowest || got >= 10 {
			t.Errorf("the rate is %v", got)
		}
	})
}

func TestWhoNoLongerWaitsIsPassedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var accounts Accounts
		var c calls
		p := accounts.Open("account", quotas(1), 0)
		defer p.Close()
		c.enter(t, p, People, "Write", "begun")
		synctest.Wait()
		begin := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		for range 100 {
			c.all.Go(func() {
				if err := p.Enter(ctx, "Write"); !errors.Is(err, context.Canceled) {
					t.Errorf("it ends with %v", err)
				}
			})
		}
		synctest.Wait()
		c.enter(t, p, Bulk, "Write", "bulk")
		synctest.Wait()
		cancel()
		c.all.Wait()
		if took := time.Since(begin); took > 2*time.Second {
			t.Errorf("the one that stayed waited for %v", took)
		}
		if err := p.Enter(ctx, "Write"); !errors.Is(err, context.Canceled) {
			t.Errorf("whose context is done gets %v", err)
		}
	})
}

func TestAnAccountIsForgottenWithItsLastDestination(t *testing.T) {
	var accounts Accounts
	a, b := accounts.Open("account", nil, 0), accounts.Open("account", nil, 0)
	a.Close()
	a.Close()
	if len(accounts.byKey) != 1 {
		t.Error("it is forgotten while a destination uses it")
	}
	b.Close()
	if len(accounts.byKey) != 0 {
		t.Error("it is kept without a destination")
	}
	if err := b.Enter(t.Context(), "Write"); err != nil {
		t.Errorf("a call under way fails: %v", err)
	}
}

func TestALimitBeyondSenseCostsNothing(t *testing.T) {
	for _, limit := range []float64{1e6, 1e12, math.MaxFloat64, math.Inf(1)} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			var accounts Accounts
			p := accounts.Open("account", nil, limit)
			defer p.Close()
			if got := len(p.own.admitted); got > 10_000 {
				t.Errorf("the bucket remembers %d calls", got)
			}
			if err := p.Enter(t.Context(), "Write"); err != nil {
				t.Error(err)
			}
		})
	}
}
