// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package alibaba_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aliyun/alibaba-cloud-sdk-go/services/kms"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/alibaba"
)

func TestAVersionIsWrittenOnce(t *testing.T) {
	t.Parallel()
	c := start(t, alibaba.Options{})
	c.create(t, "s", "value")
	wantCode(t, c.put("s", "v1", "value"), "")
	wantCode(t, c.put("s", "v1", "other"), exists)
	wantCode(t, c.put("s", "v2", "second"), "")
	wantCode(t, c.put("s", "v1", "value"), "")
	wantCode(t, c.put("s", "v1", "value", "Mine"), "")
	if got := c.layout(t, "s"); got != "v1:ACSPrevious v2:ACSCurrent" {
		t.Errorf("the repeats made it %s", got)
	}
	if got := c.stored(t, "s").Versions[0].Text; got != "value" {
		t.Errorf("the value is %q", got)
	}
}

func TestLabelsMoveAsTheServiceMovesThem(t *testing.T) {
	t.Parallel()
	type step struct {
		call func(cloud) error
		want string // layout after the step
	}
	put := func(id string, labels ...string) func(cloud) error {
		return func(c cloud) error { return c.put("s", id, "value of "+id, labels...) }
	}
	move := func(label, to, from string) func(cloud) error {
		return func(c cloud) error { return c.stage("s", label, to, from) }
	}
	tests := []struct {
		name  string
		steps []step
	}{
		{"the version that was current becomes the previous one", []step{
			{put("v2"), "v1:ACSPrevious v2:ACSCurrent"},
			{put("v3"), "v1 v2:ACSPrevious v3:ACSCurrent"},
		}},
		{"a version put under another label leaves the built-in ones", []step{
			{put("v2", "Mine"), "v1:ACSCurrent v2:Mine"},
			{put("v3", "Mine"), "v1:ACSCurrent v2 v3:Mine"},
			{put("v4", "ACSCurrent", "Mine"), "v1:ACSPrevious v2 v3 v4:ACSCurrent+Mine"},
		}},
		{"moving the current label back swaps the built-in ones", []step{
			{put("v2"), "v1:ACSPrevious v2:ACSCurrent"},
			{move("ACSCurrent", "v1", ""), "v1:ACSCurrent v2:ACSPrevious"},
			{move("ACSCurrent", "v2", "v1"), "v1:ACSPrevious v2:ACSCurrent"},
		}},
		{"moving the current label where it is changes nothing", []step{
			{put("v2"), "v1:ACSPrevious v2:ACSCurrent"},
			{move("ACSCurrent", "v2", ""), "v1:ACSPrevious v2:ACSCurrent"},
		}},
		{"a label of one's own is added, moved and removed", []step{
			{move("Mine", "v1", ""), "v1:ACSCurrent+Mine"},
			{put("v2"), "v1:ACSPrevious+Mine v2:ACSCurrent"},
			{move("Mine", "v2", ""), "v1:ACSPrevious v2:ACSCurrent+Mine"},
			{move("Mine", "v1", "v2"), "v1:ACSPrevious+Mine v2:ACSCurrent"},
			{move("Mine", "", "v1"), "v1:ACSPrevious v2:ACSCurrent"},
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := start(t, alibaba.Options{})
			c.create(t, "s", "value of v1")
			for i, step := range test.steps {
				wantCode(t, step.call(c), "")
				if got := c.layout(t, "s"); got != step.want {
					t.Errorf("step %d made it %q, want %q", i, got, step.want)
				}
			}
		})
	}
}

func TestALabelThatCannotMoveIsRefused(t *testing.T) {
	t.Parallel()
	c := start(t, alibaba.Options{})
	c.create(t, "s", "value")
	wantCode(t, c.put("s", "v2", "second"), "")
	for name, test := range map[string]struct{ label, to, from, want string }{
		"to an unknown version":               {"Mine", "v9", "", noSecret},
		"from an unknown version":             {"Mine", "", "v9", noSecret},
		"from a version that doesn't have it": {"ACSCurrent", "v1", "v1", wrong},
		"removal of one that isn't there":     {"Mine", "", "v1", wrong},
		"removal of the current label":        {"ACSCurrent", "", "v2", absent},
		"removal of the previous label":       {"ACSPrevious", "", "v1", absent},
		"nowhere":                             {"Mine", "", "", absent},
		"without a label":                     {"", "v1", "", absent},
		"with a line break in the label":      {"a\nb", "v1", "", wrong},
	} {
		if err := c.stage("s", test.label, test.to, test.from); code(err) != test.want {
			t.Errorf("%s ended with %v, want %q", name, err, test.want)
		}
	}
	for _, labels := range []string{`{}x`, `["a","a"]`, `[""]`, `[1]`, `"a"`, `["ACSCurrent","ACSPrevious"]`, `["` + strings.Repeat("x", 65) + `"]`} {
		r := kms.CreatePutSecretValueRequest()
		r.SecretName, r.VersionId, r.VersionStages, r.FormParams["SecretData"] = "s", "v3", labels, "x"
		if _, err := c.PutSecretValue(r); code(err) != wrong {
			t.Errorf("labels %s ended with %v", labels, err)
		}
	}
	if got := c.layout(t, "s"); got != "v1:ACSPrevious v2:ACSCurrent" {
		t.Errorf("refused calls made it %s", got)
	}
	old := kms.CreatePutSecretValueRequest()
	old.SecretName, old.VersionId, old.VersionStages, old.FormParams["SecretData"] = "s", "v3", `{"VersionStage":["Mine"]}`, "x"
	answer, err := c.PutSecretValue(old)
	wantCode(t, err, "")
	if !slices.Equal(answer.VersionStages.VersionStage, []string{"Mine"}) || answer.VersionId != "v3" {
		t.Errorf("answered %+v", answer)
	}
}

func TestTheOldestVersionWithoutALabelGoesWhenTheEleventhComes(t *testing.T) {
	t.Parallel()
	c := start(t, alibaba.Options{})
	c.create(t, "s", "value")
	wantCode(t, c.stage("s", "Kept", "v1", ""), "")
	for i := 2; i <= 10; i++ {
		wantCode(t, c.put("s", fmt.Sprint("v", i), "value"), "")
	}
	if got := c.layout(t, "s"); got != "v1:Kept v2 v3 v4 v5 v6 v7 v8 v9:ACSPrevious v10:ACSCurrent" {
		t.Errorf("ten versions are %s", got)
	}
	wantCode(t, c.put("s", "v11", "value"), "")
	wantCode(t, c.put("s", "v11", "value"), "") // a repeat evicts nothing
	if got := c.layout(t, "s"); got != "v1:Kept v3 v4 v5 v6 v7 v8 v9 v10:ACSPrevious v11:ACSCurrent" {
		t.Errorf("after the eleventh they are %s", got)
	}
	_, err := c.get("s", "v2", "")
	wantCode(t, err, noSecret)
	wantCode(t, c.put("s", "v2", "another value", "Mine"), "") // the id is free
	if got := c.layout(t, "s"); got != "v1:Kept v4 v5 v6 v7 v8 v9 v10:ACSPrevious v11:ACSCurrent v2:Mine" {
		t.Errorf("after the repeat of an evicted one they are %s", got)
	}
}

func TestASecretHasEightLabels(t *testing.T) {
	t.Parallel()
	c := start(t, alibaba.Options{})
	c.create(t, "s", "value")
	wantCode(t, c.put("s", "v2", "value"), "")
	for i := range 6 {
		wantCode(t, c.stage("s", fmt.Sprint("label", i), "v1", ""), "")
	}
	wantCode(t, c.stage("s", "label6", "v1", ""), tooMany)
	wantCode(t, c.put("s", "v3", "value", "label6"), tooMany)
	wantCode(t, c.stage("s", "label5", "v2", ""), "") // a move is none more
	wantCode(t, c.put("s", "v3", "value", "label5"), "")
	wantCode(t, c.stage("s", "label5", "", "v3"), "")
	wantCode(t, c.stage("s", "label6", "v1", ""), "")

	c.create(t, "t", "value")
	for i := range 7 {
		wantCode(t, c.stage("t", fmt.Sprint("label", i), "v1", ""), "")
	}
	wantCode(t, c.put("t", "v2", "value"), tooMany) // would make ACSPrevious the ninth
	if got := c.stored(t, "t").Versions; len(got) != 1 {
		t.Errorf("the refused put left %v", got)
	}
}

func TestAVersionIsFoundByIDAndByLabel(t *testing.T) {
	t.Parallel()
	c := start(t, alibaba.Options{})
	c.create(t, "s", "one")
	wantCode(t, c.put("s", "v2", "two"), "")
	wantCode(t, c.put("s", "v3", "three"), "")
	wantCode(t, c.put("s", "v4", "four", "Mine"), "")
	tests := []struct{ name, id, label, want, code string }{
		{"the current one by default", "", "", "three", ""},
		{"one by its id", "v2", "", "two", ""},
		{"one without a label by its id", "v1", "", "one", ""},
		{"the previous one by its label", "", "ACSPrevious", "two", ""},
		{"one by a label of one's own", "", "Mine", "four", ""},
		{"one by its id before its label", "v1", "Mine", "one", ""},
		{"none by an unknown id", "v9", "", "", noSecret},
		{"none by an unknown label", "", "Theirs", "", noSecret},
	}
	for _, test := range tests {
		got, err := c.get("s", test.id, test.label)
		if code(err) != test.code || err == nil && got.SecretData != test.want {
			t.Errorf("%s: read %q, %v", test.name, got.SecretData, err)
		}
	}
}

func TestVersionsAreListedInPages(t *testing.T) {
	t.Parallel()
	c := start(t, alibaba.Options{})
	c.create(t, "s", "value")
	for _, id := range []string{"v2", "v3", "v4"} {
		wantCode(t, c.put("s", id, "value"), "")
	}
	list := func(set func(*kms.ListSecretVersionIdsRequest)) (string, *kms.ListSecretVersionIdsResponse) {
		r := kms.CreateListSecretVersionIdsRequest()
		r.SecretName = "s"
		set(r)
		answer, err := c.ListSecretVersionIds(r)
		wantCode(t, err, "")
		words := []string{}
		for _, v := range answer.VersionIds.VersionId {
			if v.VersionStages.VersionStage == nil || v.CreateTime == "" {
				t.Errorf("version %+v lacks its list of labels or its time", v)
			}
			words = append(words, v.VersionId+strings.Join(v.VersionStages.VersionStage, "+"))
		}
		return strings.Join(words, " "), answer
	}
	got, answer := list(func(*kms.ListSecretVersionIdsRequest) {})
	if got != "v3ACSPrevious v4ACSCurrent" || answer.TotalCount != 2 || answer.PageSize != 20 || answer.PageNumber != 1 {
		t.Errorf("listed %s of %+v", got, answer)
	}
	got, answer = list(func(r *kms.ListSecretVersionIdsRequest) {
		r.IncludeDeprecated, r.PageSize, r.PageNumber = "true", "3", "2"
	})
	if got != "v4ACSCurrent" || answer.TotalCount != 4 || answer.SecretName != "s" {
		t.Errorf("listed %s of %+v", got, answer)
	}
	if got, _ = list(func(r *kms.ListSecretVersionIdsRequest) { r.PageNumber = "2147483647" }); got != "" {
		t.Errorf("beyond the end there is %s", got)
	}
}

func TestABinaryValueIsOpaque(t *testing.T) {
	t.Parallel()
	c := start(t, alibaba.Options{})
	_, err := c.createWith("s", "not in base64 !", func(r *kms.CreateSecretRequest) { r.SecretDataType = "binary" })
	wantCode(t, err, "")
	wantCode(t, c.put("s", "v2", "text now"), "")
	got, err := c.get("s", "v1", "")
	wantCode(t, err, "")
	if got.SecretData != "not in base64 !" || got.SecretDataType != "binary" {
		t.Errorf("read %+v", got)
	}
	stored := c.stored(t, "s")
	if string(stored.Versions[0].Binary) != "not in base64 !" || stored.Versions[1].Text != "text now" || stored.Versions[1].Binary != nil {
		t.Errorf("stored %+v", stored.Versions)
	}
	if err := c.server.Seed(emulator.Secret{Ref: stored.Ref, Versions: stored.Versions}); err != nil {
		t.Fatal(err)
	}
	got, err = c.get("s", "v1", "")
	wantCode(t, err, "")
	if got.SecretDataType != "binary" || c.layout(t, "s") != "v1:ACSPrevious v2:ACSCurrent" {
		t.Errorf("seeded anew it is %+v", got)
	}
}
