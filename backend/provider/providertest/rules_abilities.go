// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package providertest

import (
	"context"
	"maps"
	"slices"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

var abilityRules = []rule{
	{"readers who name no version get the one that the label is moved to", movesCurrent},
	{"making current what is current is success and changes nothing", keepsCurrent},
	{"making an absent version current is class not_found and changes nothing", missesMoved},
	{"the version after a moved label becomes the current one", putsAfterMove},
	{"changing tags sets some, removes others and leaves the rest", changesTags},
	{"changing tags to what they are is success", repeatsTags},
	{"tags can be changed while the secret has as many as it may", changesAllTags},
	{"tags are read with the metadata, as they were set and changed", readsTags},
	{"the tags of an absent secret are class not_found", missesTags},
	{"a changed key is shown, and every version still reads", changesKey},
	{"changing to a KMS key that the service refuses is class kms and changes nothing", refusesChangedKey},
	{"a key that secrets can be put under passes its check, another is class kms", checksKey},
	{"a secret pending deletion keeps its current version", keepsCurrentWhilePending},
}

// abilityOperations are the optional calls of d for [suite.operations].
func (s *suite) abilityOperations(d provider.Destination, versionID string) []operation {
	var ops []operation
	if o, ok := d.(provider.CurrentMover); ok {
		ops = append(ops, operation{OpMoveCurrent, true, func(ctx context.Context, n string) error {
			return o.MoveCurrent(ctx, n, versionID)
		}})
	}
	if o, ok := d.(provider.Tagger); ok {
		ops = append(ops, operation{OpChangeTags, true, func(ctx context.Context, n string) error {
			return o.ChangeTags(ctx, n, map[string]string{"changed": "tag"}, nil)
		}})
	}
	if o, ok := d.(provider.TagReader); ok {
		ops = append(ops, operation{OpDescribe, false, func(ctx context.Context, n string) error {
			_, _, err := o.DescribeTagged(ctx, n)
			return err
		}})
	}
	if o, ok := d.(provider.KeyChanger); ok {
		ops = append(ops, operation{OpChangeKey, true, func(ctx context.Context, n string) error {
			return o.ChangeKey(ctx, n, s.KMSKeyID)
		}})
	}
	return ops
}

// repeatLostAbilities does on name what only some services can, each call lost
// and then repeated by twice.
func (s *suite) repeatLostAbilities(name string, twice func(what string, op func() error)) {
	s.Helper()
	if o, ok := s.Destination.(provider.CurrentMover); ok {
		first := s.versionIDs(name)[0]
		s.put(name, "v3", s.text("3"))
		twice(OpMoveCurrent, func() error { return o.MoveCurrent(s.ctx, name, first) })
		s.isCurrent(name, first)
	}
	if o, ok := s.Destination.(provider.Tagger); ok {
		twice(OpChangeTags, func() error { return o.ChangeTags(s.ctx, name, map[string]string{"lost": "tag"}, nil) })
		s.hasTags(name, map[string]string{"lost": "tag"})
		twice(OpChangeTags, func() error { return o.ChangeTags(s.ctx, name, nil, []string{"lost"}) })
		s.hasTags(name, nil)
	}
	if o, ok := s.Destination.(provider.KeyChanger); ok && s.KMSKeyID != "" {
		twice(OpChangeKey, func() error { return o.ChangeKey(s.ctx, name, s.KMSKeyID) })
	}
}

// isCurrent checks that the kind's label for the current version is at
// versionID and nowhere else.
func (s *suite) isCurrent(name, versionID string) {
	s.Helper()
	current := s.Kind.CurrentLabel
	if current == "" {
		s.Fatalf("%s moves the current version but has no CurrentLabel", s.Kind.Type)
	}
	labels := s.labels(name)
	for id := range labels {
		if slices.Contains(labels[id], current) != (id == versionID) {
			s.Errorf("the label %s should be at %s alone: %v", current, versionID, labels)
			return
		}
	}
	if _, there := labels[versionID]; !there {
		s.Errorf("version %s isn't there: %v", versionID, labels)
	}
}

// hasTags compares the tags, where the fixture can look at them.
func (s *suite) hasTags(name string, want map[string]string) {
	s.Helper()
	if s.Tags == nil {
		return
	}
	if got := s.Tags(name); !maps.Equal(got, want) {
		s.Errorf("%s has the tags %v, want %v", name, got, want)
	}
}

func movesCurrent(s *suite) {
	mover := ability[provider.CurrentMover](s)
	name, first := s.made(s.text("1"))
	s.tick()
	second := s.put(name, "v2", s.text("2"))
	s.tick()
	third := s.put(name, "v3", s.text("3"))
	for _, id := range []string{first, second, third, first} {
		s.noError(mover.MoveCurrent(s.ctx, name, id), "make %s current", id)
		s.isCurrent(name, id)
	}
	if ids := s.versionIDs(name); !slices.Equal(ids, []string{first, second, third}) {
		s.Errorf("it has the versions %v, want %v", ids, []string{first, second, third})
	}
	s.holds(name, first, s.text("1"))
	s.holds(name, third, s.text("3"))
}

func keepsCurrent(s *suite) {
	mover := ability[provider.CurrentMover](s)
	name, _ := s.made(s.text("1"))
	second := s.put(name, "v2", s.text("2"))
	before := s.labels(name)
	for range 2 {
		s.noError(mover.MoveCurrent(s.ctx, name, second), "make the current version current")
	}
	if after := s.labels(name); !maps.EqualFunc(before, after, slices.Equal) {
		s.Errorf("the labels were %v and are %v", before, after)
	}
}

func missesMoved(s *suite) {
	mover := ability[provider.CurrentMover](s)
	name, _ := s.made(s.text("1"))
	second := s.put(name, "v2", s.text("2"))
	s.fails(mover.MoveCurrent(s.ctx, name, "v9"), provider.ClassNotFound, "make an absent version current")
	s.isCurrent(name, second)
}

func putsAfterMove(s *suite) {
	mover := ability[provider.CurrentMover](s)
	name, first := s.made(s.text("1"))
	s.put(name, "v2", s.text("2"))
	s.noError(mover.MoveCurrent(s.ctx, name, first), "make the first version current")
	third := s.put(name, "v3", s.text("3"))
	s.isCurrent(name, third)
	s.holds(name, third, s.text("3"))
}

// tagged creates a secret with those tags.
func (s *suite) tagged(tags map[string]string) string {
	s.Helper()
	name := s.name()
	created, err := s.Create(s.ctx, name, provider.NewSecret{
		VersionID: s.id("v1"), Value: s.text("1"), Description: "made by the suite", Tags: tags,
	})
	s.noError(err, "create %s", name)
	if created.TagsError != nil && !s.TagsLater {
		s.Fatalf("create %s: the tags are refused: %v", name, created.TagsError)
	}
	if created.TagsError != nil {
		s.noError(provider.ChangeTags(s.ctx, s.Destination, name, tags, nil), "give %s its tags", name)
	}
	s.hasTags(name, tags)
	return name
}

func changesTags(s *suite) {
	tagger := ability[provider.Tagger](s)
	name := s.tagged(map[string]string{"stays": "1", "changes": "2", "goes": "3"})
	before := s.described(name)
	set := map[string]string{"changes": "two", "comes": "4"}
	for range 2 {
		s.noError(tagger.ChangeTags(s.ctx, name, set, []string{"goes", "never-there"}), "change tags")
		s.hasTags(name, map[string]string{"stays": "1", "changes": "two", "comes": "4"})
	}
	if len(set) != 2 {
		s.Errorf("the caller's tags were changed: %v", set)
	}
	s.noError(tagger.ChangeTags(s.ctx, name, nil, []string{"stays", "changes", "comes"}), "remove the tags")
	s.hasTags(name, nil)
	if after := s.described(name); after != before {
		s.Errorf("it was %+v and is %+v", before, after)
	}
	if ids := s.versionIDs(name); len(ids) != 1 {
		s.Errorf("it has the versions %v, want one", ids)
	}
}

func repeatsTags(s *suite) {
	tagger := ability[provider.Tagger](s)
	tags := map[string]string{"a": "1"}
	name := s.tagged(tags)
	s.noError(tagger.ChangeTags(s.ctx, name, tags, nil), "set tags that are set")
	s.noError(tagger.ChangeTags(s.ctx, name, nil, []string{"never-there"}), "remove a tag that isn't set")
	s.noError(tagger.ChangeTags(s.ctx, name, nil, nil), "change nothing")
	s.hasTags(name, tags)
}

func changesAllTags(s *suite) {
	tagger := ability[provider.Tagger](s)
	limit := min(s.Kind.Limits.Tags.Max, 50)
	old, next := map[string]string{}, map[string]string{}
	for i := range limit {
		old["old"+string(rune('a'+i%26))+string(rune('a'+i/26))] = "1"
		next["new"+string(rune('a'+i%26))+string(rune('a'+i/26))] = "2"
	}
	name := s.tagged(old)
	s.noError(tagger.ChangeTags(s.ctx, name, next, slices.Collect(maps.Keys(old))), "replace all tags")
	s.hasTags(name, next)
}

func readsTags(s *suite) {
	reader, tagger := ability[provider.TagReader](s), ability[provider.Tagger](s)
	set := map[string]string{"team": "a", "env": "prod"}
	name := s.tagged(set)
	want := s.described(name)
	for _, tags := range []map[string]string{set, {"team": "b", "env": "prod", "more": "1"}, {}} {
		var gone []string
		for _, key := range []string{"team", "env", "more"} {
			if _, stays := tags[key]; !stays {
				gone = append(gone, key)
			}
		}
		s.noError(tagger.ChangeTags(s.ctx, name, tags, gone), "change tags")
		got, read, err := reader.DescribeTagged(s.ctx, name)
		s.noError(err, "describe %s with its tags", name)
		if got != want {
			s.Errorf("with tags it is %+v, without %+v", got, want)
		}
		if !maps.Equal(read, tags) {
			s.Errorf("the tags read are %v, want %v", read, tags)
		}
	}
	many := map[string]string{}
	for i := range min(s.Kind.Limits.Tags.Max, 50) {
		many["key"+string(rune('a'+i%26))+string(rune('a'+i/26))] = "1"
	}
	s.noError(tagger.ChangeTags(s.ctx, name, many, nil), "set as many tags as are allowed")
	if _, read, err := reader.DescribeTagged(s.ctx, name); err != nil || !maps.Equal(read, many) {
		s.Errorf("of %d tags %d are read: %v", len(many), len(read), err)
	}
}

func missesTags(s *suite) {
	reader := ability[provider.TagReader](s)
	_, tags, err := reader.DescribeTagged(s.ctx, s.name())
	s.fails(err, provider.ClassNotFound, "describe an absent secret with its tags")
	if len(tags) != 0 {
		s.Errorf("an absent secret has the tags %v", tags)
	}
}

func changesKey(s *suite) {
	changer := ability[provider.KeyChanger](s)
	s.can(s.KMSKeyID != "", "a key that is accepted")
	name, first := s.made(s.text("1"))
	before := s.described(name)
	for range 2 {
		s.noError(changer.ChangeKey(s.ctx, name, s.KMSKeyID), "change the key")
	}
	after := s.described(name)
	if after.KMSKeyID == "" || after.KMSKeyID == before.KMSKeyID {
		s.Errorf("the key was %q and is %q", before.KMSKeyID, after.KMSKeyID)
	}
	before.KMSKeyID = after.KMSKeyID
	if after != before {
		s.Errorf("it is %+v, want %+v", after, before)
	}
	second := s.put(name, "v2", s.text("2"))
	s.holds(name, first, s.text("1"))
	s.holds(name, second, s.text("2"))
}

func refusesChangedKey(s *suite) {
	changer := ability[provider.KeyChanger](s)
	s.can(s.RefusedKeyID != "", "a key that is refused")
	name, id := s.made(s.text("1"))
	before := s.described(name)
	s.fails(changer.ChangeKey(s.ctx, name, s.RefusedKeyID), provider.ClassKMS, "change to a refused key")
	if after := s.described(name); after != before {
		s.Errorf("it was %+v and is %+v", before, after)
	}
	s.holds(name, id, s.text("1"))
}

func checksKey(s *suite) {
	checker := ability[provider.KeyChecker](s)
	s.can(s.KMSKeyID != "" && s.RefusedKeyID != "", "a key that is accepted and one that is refused")
	for range 2 {
		s.noError(checker.CheckKey(s.ctx, s.KMSKeyID), "check a usable key")
		s.fails(checker.CheckKey(s.ctx, s.RefusedKeyID), provider.ClassKMS, "check a refused key")
	}
	if s.Strike[FaultForbidden] != nil {
		s.strike(FaultForbidden)
		s.fails(checker.CheckKey(s.ctx, s.KMSKeyID), provider.ClassPermission, "check a key without permission to")
	}
}

func keepsCurrentWhilePending(s *suite) {
	mover := ability[provider.CurrentMover](s)
	name, first := s.made(s.text("1"))
	second := s.put(name, "v2", s.text("2"))
	s.schedule(name)
	s.fails(mover.MoveCurrent(s.ctx, name, first), provider.ClassConflict, "make a version of a deleted secret current")
	s.hasState(name, provider.StatePendingDeletion)
	if restorer, ok := s.Destination.(provider.Restorer); ok {
		s.noError(restorer.Restore(s.ctx, name), "restore")
		s.isCurrent(name, second)
	}
}
