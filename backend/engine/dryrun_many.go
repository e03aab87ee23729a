// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/quota"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/rule"
)

const (
	// planners plan secrets at once, all of which wait for their turn at the quotas.
	planners = 8
	// planTime is when a plan of many secrets is cut: before Vault gives the request up.
	planTime = 45 * time.Second
)

// PlanQuery chooses secrets to plan.
type PlanQuery struct {
	Match, Exclude []string // globs on names; without any, all
	Destination    string   // plan the replicas there only; "" for all
	After          string   // names after this one
	Limit          int      // at most that many are looked at
}

// PlanPage is the plans of some secrets.
type PlanPage struct {
	Plans    []*Plan // of those for which something is to be done or in the way, by name
	Examined int     // secrets that were looked at
	Idle     int     // of them, those with nothing to do
	Looks    int     // remote calls that the plans took
	// Next is what After must be to go on; "" when all secrets were looked at.
	Next string
}

// PlanMatching plans secrets by their names. One page looks at no more than Limit
// of them, and at fewer when that takes long.
func (e *Engine) PlanMatching(ctx context.Context, q PlanQuery) (*PlanPage, error) {
	matches, err := rule.Names(q.Match, q.Exclude)
	if err != nil {
		return nil, Refusef("%v", err)
	}
	if q.Destination != "" {
		if o, err := e.openedAt(ctx, q.Destination); err != nil || o == nil {
			return nil, firstError(err, Refusef("destination %s doesn't exist", q.Destination))
		}
	}
	return e.planWhere(ctx, q, matches)
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// planWhere plans the secrets that match and have replicas, or are to get some.
func (e *Engine) planWhere(ctx context.Context, q PlanQuery, matches func(name string) bool) (*PlanPage, error) {
	set, err := e.ruleSet(ctx)
	if err != nil {
		return nil, err
	}
	var names []string
	page := &PlanPage{}
	_, err = e.walkFolder(ctx, "", q.After, func(name string) (more bool, err error) {
		if !matches(name) {
			return true, nil
		}
		s, err := e.peek(ctx, name)
		if err != nil {
			return false, err
		}
		if sent := sentTo(set, name); !concerns(s, sent, q.Destination) {
			return true, nil
		}
		if len(names) == q.Limit {
			page.Next = names[len(names)-1]
			return false, nil
		}
		names = append(names, name)
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	return page, e.planNames(quota.WithLane(ctx, quota.Bulk), page, names, q.Destination)
}

// concerns tells whether a secret has a replica at the destination, or rules send
// it there; at any for "".
func concerns(s *Secret, sent []string, ref string) bool {
	if ref == "" {
		return len(sent) > 0 || s != nil && len(s.Replicas) > 0
	}
	return slices.Contains(sent, ref) || s != nil && len(s.at(ref)) > 0
}

// planNames plans secrets, some at a time, and cuts the page when it takes long.
func (e *Engine) planNames(ctx context.Context, page *PlanPage, names []string, only string) error {
	plans, failed := make([]*Plan, len(names)), make([]error, len(names))
	end := time.Now().Add(planTime)
	next := make(chan int)
	var workers sync.WaitGroup
	for range min(planners, len(names)) {
		workers.Go(func() {
			for i := range next {
				plans[i], failed[i] = e.planOne(ctx, names[i], only)
			}
		})
	}
	begun := 0
	for ; begun < len(names) && ctx.Err() == nil && time.Now().Before(end); begun++ {
		next <- begun
	}
	close(next)
	workers.Wait()
	if begun > 0 && begun < len(names) {
		page.Next = names[begun-1]
	}
	for i := range begun {
		if failed[i] != nil {
			return failed[i]
		}
		page.add(plans[i])
	}
	return ctx.Err()
}

func (p *PlanPage) add(planned *Plan) {
	p.Examined++
	p.Looks += planned.Looks
	if planned.Idle() {
		p.Idle++
		return
	}
	p.Plans = append(p.Plans, planned)
}

func (e *Engine) planOne(ctx context.Context, name, only string) (*Plan, error) {
	s, err := e.suppose(ctx, name)
	if err != nil {
		return nil, err
	}
	s.only = only
	return e.dryRun(ctx, s)
}

// PlanDestination tells which remote calls would follow if a destination was
// written with other settings. A *RefusedError is what the write would be refused
// with.
func (e *Engine) PlanDestination(ctx context.Context, d *Destination, q PlanQuery) (*PlanPage, []string, error) {
	warnings, err := e.checkDestinationKey(ctx, d)
	if err != nil {
		return nil, nil, err
	}
	kind, found := e.kinds[d.Type]
	if !found {
		return nil, nil, Refusef("destination type %q is unknown", d.Type)
	}
	if err := d.check(kind); err != nil {
		return nil, nil, err
	}
	how, err := e.mayReplace(ctx, d)
	if err != nil {
		return nil, nil, err
	}
	o, err := e.open(d)
	if err != nil {
		return nil, nil, err
	}
	defer o.close()
	ref := d.Ref()
	ctx = supposing(ctx, &supposition{
		destinations: map[string]*opened{ref: o}, moved: map[string]bool{ref: how == sweepRemote},
	})
	q.Destination = ref
	page, err := e.planWhere(ctx, q, func(string) bool { return true })
	return page, warnings, err
}
