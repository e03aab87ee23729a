// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package providertest

import (
	"bytes"
	"slices"
	"strings"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

var valueRules = []rule{
	{"a created secret reads back as it was written", readsBack},
	{"the largest value reads back, one byte more is refused", keepsLargest},
	{"an empty value is kept or refused as the limits say", keepsEmpty},
	{"a created secret is described with what it was made with", describesCreated},
	{"creating a taken name is class exists and changes nothing", refusesTaken},
	{"a new version is added and the older one stays readable", addsVersion},
	{"an overwritten version holds the new value and no version is added", overwrites},
	{"the description is replaced and nothing else", replacesDescription},
}

func readsBack(s *suite) {
	everyByte := make([]byte, 256)
	for i := range everyByte {
		everyByte[i] = byte(i)
	}
	for what, v := range map[string]provider.Value{
		"plain text":        s.text("plain"),
		"text as JSON":      provider.Text(`{"user":"app","quote":"\"","password":"` + s.canary + `"}`),
		"markup":            provider.Text("<a href='x?a=1&b=2'>" + s.canary + "</a>"),
		"several lines":     provider.Text(s.canary + "\r\n\tsecond line\n"),
		"surrounding space": provider.Text("  " + s.canary + "  "),
		"unicode":           provider.Text("\u5bc6\u7801 пароль 🔑 \u2028 " + s.canary),
		"control bytes":     provider.Text("\x01\x7f" + s.canary),
		"every byte":        provider.Binary(everyByte),
		"one zero byte":     provider.Binary([]byte{0}),
		"text as binary":    provider.Binary([]byte(s.canary)),
	} {
		s.Logf("value: %s", what)
		name, id := s.made(v)
		s.holds(name, id, v)
	}
}

func keepsLargest(s *suite) {
	limits := s.Kind.Limits
	filled := func(size int) string { return s.canary + strings.Repeat("x", size-len(s.canary)) }
	for what, v := range map[string]provider.Value{
		"text":   provider.Text(filled(limits.Largest(false))),
		"binary": provider.Binary([]byte(filled(limits.Largest(true)))),
	} {
		s.noError(limits.CheckValue(v), "check the largest %s", what)
		name, id := s.made(v)
		s.holds(name, id, v)
	}
	for what, v := range map[string]provider.Value{
		"text":   provider.Text(filled(limits.Largest(false) + 1)),
		"binary": provider.Binary([]byte(filled(limits.Largest(true) + 1))),
	} {
		s.fails(limits.CheckValue(v), provider.ClassInvalid, "check a %s that is too large", what)
		name := s.name()
		_, err := s.Create(s.ctx, name, provider.NewSecret{VersionID: s.id("v1"), Value: v})
		s.fails(err, provider.ClassInvalid, "create with a %s that is too large", what)
		s.isAbsent(name)
	}
}

func keepsEmpty(s *suite) {
	empty := provider.Text("")
	if !s.Kind.Limits.EmptyValue {
		s.fails(s.Kind.Limits.CheckValue(empty), provider.ClassInvalid, "check the empty value")
		return
	}
	s.noError(s.Kind.Limits.CheckValue(empty), "check the empty value")
	name, id := s.made(empty)
	s.holds(name, id, empty)
}

func describesCreated(s *suite) {
	name := s.name()
	created, err := s.Create(s.ctx, name, provider.NewSecret{
		VersionID: s.id("v1"), Value: s.text("1"), Description: "для <команды> & Co.", KMSKeyID: s.KMSKeyID,
	})
	s.noError(err, "create %s", name)
	if !s.assignsIDs() && created.VersionID != "v1" {
		s.Errorf("the first version has id %q, asked for was v1", created.VersionID)
	}
	got := s.hasState(name, provider.StateEnabled)
	switch {
	case got.Description != "для <команды> & Co.":
		s.Errorf("the description is %q", got.Description)
	case s.KMSKeyID != "" && got.KMSKeyID == "":
		s.Error("no KMS key is named")
	case got.CloudManaged:
		s.Error("it counts as managed by the cloud")
	case got.Type == "":
		s.Error("its type has no name")
	case got.CreatedTime.IsZero() || !got.DeletionTime.IsZero():
		s.Errorf("created at %v, deletion at %v", got.CreatedTime, got.DeletionTime)
	}
	if ids := s.versionIDs(name); !slices.Equal(ids, []string{created.VersionID}) {
		s.Errorf("it has the versions %v, want %s alone", ids, created.VersionID)
	}
}

func refusesTaken(s *suite) {
	name, id := s.made(s.text("first"))
	before := s.described(name)
	_, err := s.Create(s.ctx, name, provider.NewSecret{VersionID: s.id("v2"), Value: s.text("second"), Description: "another"})
	s.fails(err, provider.ClassExists, "create the taken %s", name)
	if after := s.described(name); after != before {
		s.Errorf("it was %+v and is %+v", before, after)
	}
	if ids := s.versionIDs(name); !slices.Equal(ids, []string{id}) {
		s.Errorf("it has the versions %v, want %s alone", ids, id)
	}
	s.holds(name, id, s.text("first"))
}

func addsVersion(s *suite) {
	name, first := s.made(s.text("first"))
	binary := provider.Binary(bytes.Repeat([]byte{0xff, 0}, 20))
	second := s.put(name, "v2", binary)
	if !s.assignsIDs() && second != "v2" {
		s.Errorf("the second version has id %q, asked for was v2", second)
	}
	s.holds(name, first, s.text("first"))
	s.holds(name, second, binary)
}

func overwrites(s *suite) {
	overwriter := ability[provider.Overwriter](s)
	name, id := s.made(s.text("first"))
	other := s.put(name, "v2", s.text("other"))
	for _, v := range []provider.Value{
		s.text("second"), s.text("second"),
		provider.Binary([]byte(s.canary)), s.text("text again"),
	} {
		s.noError(overwriter.Overwrite(s.ctx, name, id, v), "overwrite %s", name)
		s.holds(name, id, v)
	}
	s.holds(name, other, s.text("other"))
	if ids := s.versionIDs(name); len(ids) != 2 {
		s.Errorf("it has the versions %v, want two", ids)
	}
	err := overwriter.Overwrite(s.ctx, name, "v9", s.text("second"))
	s.fails(err, provider.ClassNotFound, "overwrite an absent version")
}

func replacesDescription(s *suite) {
	name, id := s.made(s.text("1"))
	before := s.described(name)
	for range 2 {
		s.noError(s.SetDescription(s.ctx, name, "new: \"quoted\" \u8bf4\u660e"), "set the description")
	}
	before.Description = "new: \"quoted\" \u8bf4\u660e"
	if after := s.described(name); after != before {
		s.Errorf("it is %+v, want %+v", after, before)
	}
	s.holds(name, id, s.text("1"))
	if ids := s.versionIDs(name); len(ids) != 1 {
		s.Errorf("it has the versions %v, want one", ids)
	}
}
