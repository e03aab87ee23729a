// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package huawei_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/huaweicloud/huaweicloud-sdk-go-v3/services/csms/v1/model"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/huawei"
)

// pages lists all secrets page by page, as in "a,b|c|", until a page is empty
// or has no marker for the next.
func (c cloud) pages(t *testing.T, limit string) string {
	t.Helper()
	var pages []string
	request := &model.ListSecretsRequest{Limit: &limit}
	for {
		answer, err := c.ListSecrets(request)
		want(t, err, ok)
		names := []string{}
		for _, s := range *answer.Secrets {
			names = append(names, *s.Name)
		}
		pages = append(pages, strings.Join(names, ","))
		info := answer.PageInfo
		if int(*info.CurrentCount) != len(names) || len(names) > 0 && *info.PreviousMarker != names[0] {
			t.Errorf("the page %v has the info %s", names, info)
		}
		if len(names) == 0 || *info.NextMarker == "" {
			return strings.Join(pages, "|")
		}
		request.Marker = info.NextMarker
	}
}

func TestSecretsAreListedPageByPage(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name        string
		switches    huawei.Switches
		limit, want string
	}{
		{"by name, until a page is empty", huawei.Switches{}, "2", "B,a|a-b,c|d|"},
		{"a full last page is followed by an empty one", huawei.Switches{}, "5", "B,a,a-b,c,d|"},
		{"the last page can say so", huawei.Switches{EndMarkerEmpty: true}, "2", "B,a|a-b,c|d"},
		{"the order can be another", huawei.Switches{ListsDescending: true}, "3", "d,c,a-b|a,B|"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := switched(t, test.switches)
			for _, name := range []string{"c", "a", "d", "B", "a-b"} {
				c.create(t, name, "x")
			}
			if got := c.pages(t, test.limit); got != test.want {
				t.Errorf("the pages are %q, want %q", got, test.want)
			}
		})
	}
}

func TestAListWithoutALimitHasFiftyItems(t *testing.T) {
	t.Parallel()
	c := start(t, huawei.Options{})
	for i := range 51 {
		seed(t, c.server, emulator.Secret{Ref: ref(fmt.Sprintf("s%02d", i))})
	}
	answer, err := c.ListSecrets(&model.ListSecretsRequest{})
	want(t, err, ok)
	if len(*answer.Secrets) != 50 {
		t.Errorf("there are %d secrets", len(*answer.Secrets))
	}
	// The marker needn't exist, so that a list survives deletions.
	answer, err = c.ListSecrets(&model.ListSecretsRequest{Marker: p("s49-deleted")})
	want(t, err, ok)
	if len(*answer.Secrets) != 1 || *(*answer.Secrets)[0].Name != "s50" {
		t.Errorf("after the marker there are %v", *answer.Secrets)
	}
}

func TestSecretsAreListedByEvent(t *testing.T) {
	t.Parallel()
	c := start(t, huawei.Options{})
	c.create(t, "a", "x")
	_, err := c.createWith(model.CreateSecretRequestBody{Name: "b", SecretString: p("x"), EventSubscriptions: &[]string{"event"}})
	want(t, err, ok)
	answer, err := c.ListSecrets(&model.ListSecretsRequest{EventName: p("event")})
	want(t, err, ok)
	if len(*answer.Secrets) != 1 || *(*answer.Secrets)[0].Name != "b" {
		t.Errorf("listed %v", *answer.Secrets)
	}
}

func TestVersionsAreListedByNumber(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		switches           huawei.Switches
		all, after, latest string
	}{
		{huawei.Switches{}, "v1 v2 v3 v4 v5 v6 v7 v8 v9 v10 v11", "v10 v11", ""},
		{huawei.Switches{ListsDescending: true}, "v11 v10 v9 v8 v7 v6 v5 v4 v3 v2 v1", "v8 v7 v6", "v10 v9 v8"},
	} {
		c := switched(t, test.switches)
		c.create(t, "s", "1")
		for i := range 10 {
			want(t, c.put("s", fmt.Sprint(i+2)), ok)
		}
		list := func(r model.ListSecretVersionsRequest) string {
			r.SecretName = "s"
			answer, err := c.ListSecretVersions(&r)
			want(t, err, ok)
			ids := []string{}
			for _, v := range *answer.VersionMetadatas {
				ids = append(ids, *v.Id)
			}
			return strings.Join(ids, " ")
		}
		if got := list(model.ListSecretVersionsRequest{}); got != test.all {
			t.Errorf("all versions are %s", got)
		}
		if got := list(model.ListSecretVersionsRequest{Marker: p("v9"), Limit: p(int32(3))}); got != test.after {
			t.Errorf("versions after v9 are %s", got)
		}
		if got := list(model.ListSecretVersionsRequest{Marker: p("latest"), Limit: p(int32(3))}); got != test.latest {
			t.Errorf("versions after latest are %s", got)
		}
	}
}

func TestVersionsAreListedWithStagesAndWithoutValues(t *testing.T) {
	t.Parallel()
	c := start(t, huawei.Options{})
	c.create(t, "s", "canary-1")
	want(t, c.put("s", "canary-2"), ok)
	want(t, c.put("s", "canary-3", "custom"), ok)
	versions, err := c.versions("s")
	want(t, err, ok)
	stages := make([]string, 0, len(versions))
	for _, v := range versions {
		stages = append(stages, strings.Join(*v.VersionStages, "+"))
		if v.ExpireTime != nil || *v.CreateTime%1000 != 0 || *v.SecretName != "s" || strings.Contains(v.String(), "canary") {
			t.Errorf("a version is %s", v)
		}
	}
	if !slices.Equal(stages, []string{"SYSPREVIOUS", "SYSCURRENT", "custom"}) {
		t.Errorf("the stages are %v", stages)
	}
}
