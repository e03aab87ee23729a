// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package tencent_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/tencent"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/sensitive"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/emulatortest"
	emulated "github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/tencent"
)

// numbered are n tags.
func numbered(prefix string, n int) map[string]string {
	tags := map[string]string{}
	for i := range n {
		tags[fmt.Sprintf("%s%02d", prefix, i)] = "1"
	}
	return tags
}

func TestTagsOfANewSecret(t *testing.T) {
	tagged := provider.NewSecret{VersionID: "v1", Value: provider.Text(exampleValue), Tags: map[string]string{"team": "a"}}
	for name, test := range map[string]struct {
		switches emulated.Switches
		class    provider.Class // of the error beside the success, "" for none
		calls    int
	}{
		"are given by the creation":                               {emulated.Switches{}, "", 1},
		"may be missing after the Tag service's internal error":   {emulated.Switches{TagCode: 1}, provider.ClassUnavailable, 1},
		"may be missing by a rule of the Tag service":             {emulated.Switches{TagCode: 2}, provider.ClassInvalid, 1},
		"are left out where they have to exist before the secret": {emulated.Switches{TagsMissing: true}, provider.ClassInvalid, 2},
	} {
		t.Run(name, func(t *testing.T) {
			server, d := emulate(t, test.switches)
			created, err := d.Create(t.Context(), "tagged", tagged)
			if err != nil || created.VersionID != "v1" {
				t.Fatal(created, err)
			}
			if calls := server.Calls().Total(); calls != test.calls {
				t.Errorf("%d calls, want %d", calls, test.calls)
			}
			if test.class != "" {
				if e := failure(t, created.TagsError); e.Class != test.class || e.Ambiguous {
					t.Errorf("tags error %v", e)
				}
				if err := d.ChangeTags(t.Context(), "tagged", tagged.Tags, nil); err != nil {
					t.Fatal(err)
				}
			} else if created.TagsError != nil {
				t.Error(created.TagsError)
			}
			if stored, _ := server.Inspect(region, "tagged"); !maps.Equal(stored.Tags, tagged.Tags) || stored.Versions[0].Text != exampleValue {
				t.Errorf("stored is %+v", stored)
			}
		})
	}
}

func TestChangingTagsLeavesThoseOfOthers(t *testing.T) {
	foreign := numbered("foreign", 20)
	for name, strict := range map[string]bool{"where absent tags can be removed": false, "where absent tags are refused": true} {
		t.Run(name, func(t *testing.T) {
			server, d := emulate(t, emulated.Switches{StrictTagRemoval: strict})
			seed(t, server, emulator.Secret{Ref: emulator.Ref{Name: "shared"}, Tags: foreign})
			ours := numbered("ours", 30)
			if err := d.ChangeTags(t.Context(), "shared", ours, []string{"never-there"}); err != nil {
				t.Fatal(err)
			}
			remove := append(slices.Sorted(maps.Keys(ours)), "never-there")
			next := numbered("next", 30)
			if err := d.ChangeTags(t.Context(), "shared", next, remove); err != nil {
				t.Fatal(err)
			}
			want := maps.Clone(foreign)
			maps.Copy(want, next)
			if stored, _ := server.Inspect(region, "shared"); !maps.Equal(stored.Tags, want) {
				t.Errorf("the tags are %v", stored.Tags)
			}
		})
	}
}

func TestTagCallsAreAsDocumented(t *testing.T) {
	const ok = `{"Response":{"RequestId":"r"}}`
	cloud := &stub{answers: map[string]string{"": ok, "DescribeSecret": `{"Response":{"CreateUin":100000000002,"RequestId":"r"}}`}}
	if err := opened(t, cloud).ChangeTags(t.Context(), "app-db", map[string]string{"b": "2", "a": "1", "both": "3"}, []string{"gone", "both"}); err != nil {
		t.Fatal(err)
	}
	const resource = `{"Resource":"qcs::ssm:ap-guangzhou:uin/:secret/creatorUin/100000000002/app-db",`
	want := []struct{ host, action, version, body string }{
		{"ssm.tencentcloudapi.com", "DescribeSecret", "2019-09-23", `{"SecretName":"app-db"}`},
		{"tag.tencentcloudapi.com", "ModifyResourceTags", "2018-08-13", resource + `"DeleteTags":[{"TagKey":"gone"},{"TagKey":"both"}]}`},
		{"tag.tencentcloudapi.com", "ModifyResourceTags", "2018-08-13", resource + `"ReplaceTags":[{"TagKey":"a","TagValue":"1"},{"TagKey":"b","TagValue":"2"}]}`},
	}
	if len(cloud.asked) != len(want) {
		t.Fatalf("%d calls were made: %v", len(cloud.asked), cloud.bodies)
	}
	for i, w := range want {
		r := cloud.asked[i]
		service, _, _ := strings.Cut(w.host, ".")
		if r.URL.Scheme != "https" || r.URL.Host != w.host || r.Header.Get("X-TC-Action") != w.action || r.Header.Get("X-TC-Version") != w.version || cloud.bodies[i] != w.body {
			t.Errorf("call %d is %s of %s at %s: %s", i, r.Header.Get("X-TC-Action"), r.Header.Get("X-TC-Version"), r.URL, cloud.bodies[i])
		}
		if !strings.Contains(r.Header.Get("Authorization"), "/"+service+"/tc3_request") {
			t.Errorf("call %d isn't signed for %s", i, service)
		}
	}
	before := len(cloud.asked)
	if err := opened(t, cloud).ChangeTags(t.Context(), "app-db", nil, nil); err != nil || len(cloud.asked) != before {
		t.Errorf("to change nothing, calls were made: %v", err)
	}
}

func TestTheTagServiceIsWhereTheEndpointSays(t *testing.T) {
	for endpoint, want := range map[string]string{
		"":                                     "https://tag.tencentcloudapi.com",
		"ssm.intl.tencentcloudapi.com":         "https://tag.intl.tencentcloudapi.com",
		"ssm.ap-guangzhou.tencentcloudapi.com": "https://tag.ap-guangzhou.tencentcloudapi.com",
		"https://ssm.internal.tencentcloudapi.com:8443": "https://tag.internal.tencentcloudapi.com:8443",
		"http://127.0.0.1:4000":                         "http://127.0.0.1:4000",
		"proxy.example.com":                             "https://proxy.example.com",
	} {
		at, err := provider.ParseEndpoint(endpoint)
		if err != nil {
			t.Fatal(err)
		}
		cloud := &stub{answers: map[string]string{"": `{"Response":{"CreateUin":1,"RequestId":"r"}}`}}
		d, err := tencent.Kind.Open(provider.Config{
			Region: region, Endpoint: at, AccessKeyID: "example-id", AccessKeySecret: sensitive.NewString(exampleSecret), Transport: cloud,
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := provider.ChangeTags(t.Context(), d, "app-db", map[string]string{"a": "1"}, nil); err != nil {
			t.Fatal(err)
		}
		if u := cloud.asked[1].URL; u.Scheme+"://"+u.Host != want {
			t.Errorf("endpoint %q: the Tag service is asked at %s, want %s", endpoint, u, want)
		}
	}
}

func TestRefusalsOfTheTagServiceHaveClasses(t *testing.T) {
	for code, want := range map[string]provider.Class{
		"FailedOperation":                                provider.ClassUnavailable,
		"FailedOperation.ResourceTagProcessing":          provider.ClassUnavailable,
		"FailedOperation.PolicyEnforcedInvalid":          provider.ClassInvalid,
		"InvalidParameter.ReservedTagKey":                provider.ClassInvalid,
		"InvalidParameterValue.ResourceDescriptionError": provider.ClassInvalid,
		"InvalidParameterValue.TagKeyCharacterIllegal":   provider.ClassInvalid,
		"InvalidParameterValue.TagValueLengthExceeded":   provider.ClassInvalid,
		"LimitExceeded.Quota":                            provider.ClassLimit,
		"LimitExceeded.ResourceAttachedTags":             provider.ClassLimit,
		"LimitExceeded.TagKey":                           provider.ClassLimit,
		"RequestLimitExceeded":                           provider.ClassThrottled,
		"ResourceInUse.TagKeyAttached":                   provider.ClassConflict,
		"ResourceNotFound.AttachedTagKeyNotFound":        provider.ClassConflict,
		"ResourceNotFound.RecordNotFound":                provider.ClassConflict,
		"ResourceNotFound.TagNonExist":                   provider.ClassInvalid,
		"AuthFailure.UnauthorizedOperation":              provider.ClassPermission,
		"NoSuchProduct":                                  provider.ClassInvalid,
	} {
		cloud := &stub{answers: map[string]string{"": apiError(code, "words"), "DescribeSecret": `{"Response":{"CreateUin":1,"RequestId":"r"}}`}}
		err := opened(t, cloud).ChangeTags(t.Context(), "app-db", map[string]string{"a": "1"}, nil)
		if e := failure(t, err); e.Class != want || e.Operation != "ModifyResourceTags" || e.Code != code {
			t.Errorf("%s has class %s, want %s: %v", code, e.Class, want, err)
		}
	}
}

func TestAChangeOfTagsThatStopsHalfwayIsInDoubt(t *testing.T) {
	server, d := emulate(t, emulated.Switches{})
	refuse := func(skip int) {
		emulatortest.AddFault(t, server, emulator.Fault{Kind: emulator.Error, Code: "RequestLimitExceeded", Operation: "ModifyResourceTags", Skip: skip, Count: 1})
	}
	change := func() error {
		return d.ChangeTags(t.Context(), "app-db", map[string]string{"comes": "1"}, []string{"goes"})
	}
	refuse(0)
	if e := failure(t, change()); e.Ambiguous {
		t.Errorf("in doubt before anything was done: %v", e)
	}
	refuse(1)
	if e := failure(t, change()); !e.Ambiguous || e.Class != provider.ClassThrottled {
		t.Errorf("without doubt after a part was done: %v", e)
	}
}

func TestASecretWithoutACreatorHasNoTagsToChange(t *testing.T) {
	cloud := &stub{answers: map[string]string{"": `{"Response":{"RequestId":"r"}}`}}
	err := opened(t, cloud).ChangeTags(t.Context(), "app-db", map[string]string{"a": "1"}, nil)
	if e := failure(t, err); e.Class != provider.ClassUnavailable || e.Ambiguous || len(cloud.asked) != 1 {
		t.Errorf("error %v after %d calls", err, len(cloud.asked))
	}
}
