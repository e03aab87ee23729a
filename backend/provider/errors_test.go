// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package provider_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

var classes = []provider.Class{
	provider.ClassAuth, provider.ClassPermission, provider.ClassThrottled, provider.ClassUnavailable,
	provider.ClassNotFound, provider.ClassExists, provider.ClassConflict, provider.ClassOwnership,
	provider.ClassLimit, provider.ClassInvalid, provider.ClassKMS, provider.ClassInternal,
}

func TestEveryClassSaysWhatToDo(t *testing.T) {
	for _, class := range classes {
		action := class.Action()
		if action == "" || action != strings.TrimSuffix(action, ".") || strings.ToLower(action[:1]) != action[:1] {
			t.Errorf("%s: the action is %q", class, action)
		}
	}
}

func TestWhatEndsByItselfIsTriedAgain(t *testing.T) {
	recovers := map[provider.Class]bool{
		provider.ClassThrottled: true, provider.ClassUnavailable: true, provider.ClassNotFound: true,
		provider.ClassExists: true, provider.ClassInternal: true, "a class nobody knows": true,
	}
	for _, class := range append(classes, "a class nobody knows") {
		if class.Recovers() != recovers[class] {
			t.Errorf("%s: recovers is %t", class, class.Recovers())
		}
	}
}

func TestErrorTexts(t *testing.T) {
	for want, e := range map[string]*provider.Error{
		"CreateSecret: no such key (code A.B, request id r-1)": {Operation: "CreateSecret", Message: "no such key", Code: "A.B", RequestID: "r-1", Class: provider.ClassKMS},
		"CreateSecret: no such key (code A.B)":                 {Operation: "CreateSecret", Message: "no such key", Code: "A.B"},
		"CreateSecret: throttled":                              {Operation: "CreateSecret", Class: provider.ClassThrottled},
		"region is empty":                                      {Message: "region is empty", Class: provider.ClassInvalid},
		"invalid (request id r-1)":                             {Class: provider.ClassInvalid, RequestID: "r-1"},
	} {
		if got := e.Error(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestErrorsAreFoundThroughWrapping(t *testing.T) {
	cancelled := (&provider.Error{Class: provider.ClassUnavailable, Ambiguous: true}).Because(context.Canceled)
	wrapped := fmt.Errorf("replicate app/db: %w", cancelled)
	absent := fmt.Errorf("replicate app/db: %w", &provider.Error{Class: provider.ClassNotFound})

	if !errors.Is(wrapped, context.Canceled) || errors.Is(absent, context.Canceled) {
		t.Error("errors.Is doesn't tell the cause")
	}
	for what, c := range map[string]struct {
		err       error
		class     provider.Class
		absent    bool
		ambiguous bool
	}{
		"a wrapped ambiguous error":      {wrapped, provider.ClassUnavailable, false, true},
		"a wrapped absence":              {absent, provider.ClassNotFound, true, false},
		"an error of somebody else":      {errors.New("x"), provider.ClassInternal, false, true},
		"no error has the class of none": {nil, provider.ClassInternal, false, false},
	} {
		if provider.ClassOf(c.err) != c.class || provider.IsNotFound(c.err) != c.absent || provider.IsAmbiguous(c.err) != c.ambiguous {
			t.Errorf("%s: class %s, not found %t, ambiguous %t", what,
				provider.ClassOf(c.err), provider.IsNotFound(c.err), provider.IsAmbiguous(c.err))
		}
	}
}

func TestValuesNeverPrint(t *testing.T) {
	const canary = "canary-9b27d1"
	for _, v := range []provider.Value{provider.Text(canary), provider.Binary([]byte(canary))} {
		for _, holder := range []any{v, &v, provider.NewSecret{Value: v}, struct{ v provider.Value }{v}, []provider.Value{v}} {
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
				text := fmt.Sprintf(verb, holder)
				if strings.Contains(text, canary) || strings.Contains(text, fmt.Sprintf("%x", canary)) {
					t.Errorf("%s shows the value: %s", verb, text)
				}
			}
			if encoded, err := json.Marshal(holder); strings.Contains(string(encoded), canary) {
				t.Errorf("JSON shows the value: %s, %v", encoded, err)
			}
		}
	}
}

func TestValuesCompareByFormAndContent(t *testing.T) {
	text, binary := provider.Text("x"), provider.Binary([]byte("x"))
	for _, c := range []struct {
		a, b provider.Value
		want bool
	}{
		{text, provider.Text("x"), true},
		{binary, provider.Binary([]byte("x")), true},
		{text, binary, false},
		{text, provider.Text("y"), false},
		{provider.Text(""), provider.Value{}, false},
		{provider.Value{}, provider.Value{}, true},
	} {
		if c.a.Equal(c.b) != c.want {
			t.Errorf("%q and %q: equal is %t", c.a.Reveal(), c.b.Reveal(), !c.want)
		}
	}
	if (provider.Value{}).IsSet() || !provider.Text("").IsSet() || !provider.Binary(nil).IsSet() {
		t.Error("IsSet doesn't tell unset from empty")
	}
}
