// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package plan_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/plan"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// tagStep is the change of tags in a plan, the zero step if there is none.
func tagStep(p plan.Plan) plan.Step {
	for _, step := range p.Steps {
		if step.Action == plan.ChangeTags {
			return step
		}
	}
	return plan.Step{}
}

func TestATagWhoseRemovalIsInDoubtIsSetAgain(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]service{"tencent": tencent, "labels": labels, "assigned": assigned} {
		have := plan.Observed{Known: true, Looked: true, State: provider.StateEnabled, Description: mine.Append("text"), Tags: map[string]string{"stays": "1", "goes": "1"}}
		without := s.live(1)
		without.Tags = map[string]string{"stays": "1"}
		removal := tagStep(plan.Make(without, have, s.can, s.limits))
		if !slices.Equal(removal.RemoveTags, []string{"goes"}) || len(removal.SetTags) != 0 {
			t.Errorf("%s: to remove a tag, %+v is planned", name, removal)
		}
		doubtful := plan.Doubtful(without, have, removal, s.can)
		doubtful.Known = true // after a look, which shows no tags
		again := s.live(1)
		again.Tags = map[string]string{"stays": "1", "goes": "1"}
		if step := tagStep(plan.Make(again, doubtful, s.can, s.limits)); !maps.Equal(step.SetTags, map[string]string{"goes": "1"}) || len(step.RemoveTags) != 0 {
			t.Errorf("%s: to have the tag again, %+v is planned", name, step)
		}
		if step := tagStep(plan.Make(without, doubtful, s.can, s.limits)); !slices.Equal(step.RemoveTags, []string{"goes"}) {
			t.Errorf("%s: to be rid of the tag all the same, %+v is planned", name, step)
		}
	}
}

func TestARefusedTagKeepsNothingFromTheReaders(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]service{"tencent": tencent, "pointer only": pointerOnly, "labels": labels, "assigned": assigned} {
		for _, state := range []provider.State{provider.StateEnabled, provider.StateDisabled} {
			want := s.live(2)
			want.Tags = map[string]string{"new": "1"}
			steps := plan.Make(want, plan.Observed{Known: true, Looked: true, State: state, Description: mine.Append("old")}, s.can, s.limits).Steps
			if len(steps) < 2 || steps[len(steps)-1].Action != plan.ChangeTags {
				t.Errorf("%s, %s: the steps are %+v", name, state, steps)
			}
		}
	}
}
