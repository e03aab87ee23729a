// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package alibaba_test

import (
	"fmt"
	"maps"
	"testing"

	"github.com/aliyun/alibaba-cloud-sdk-go/services/kms"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/alibaba"
)

func (c cloud) wantTags(t *testing.T, name string, want map[string]string) {
	t.Helper()
	if got := c.stored(t, name).Tags; !maps.Equal(got, want) {
		t.Errorf("%s has the tags %v, want %v", name, got, want)
	}
}

func TestTagsOfOneSecretAreSetReplacedAndRemoved(t *testing.T) {
	t.Parallel()
	c := start(t, alibaba.Options{})
	c.create(t, "s", "value")
	wantCode(t, c.tag("s", `[{"TagKey":"a","TagValue":"1"},{"TagKey":"b","TagValue":"2"}]`), "")
	wantCode(t, c.tag("s", `[{"TagKey":"a","TagValue":"3"}]`), "")
	c.wantTags(t, "s", map[string]string{"a": "3", "b": "2"})
	wantCode(t, c.untag("s", `["a","absent"]`), "")
	wantCode(t, c.untag("s", `["absent"]`), "")
	c.wantTags(t, "s", map[string]string{"b": "2"})
	described, err := c.describe("s")
	wantCode(t, err, "")
	if len(described.Tags.Tag) != 1 || described.Tags.Tag[0].TagKey != "b" {
		t.Errorf("described %+v", described.Tags)
	}
	plain := kms.CreateDescribeSecretRequest()
	plain.SecretName = "s"
	described, err = c.DescribeSecret(plain)
	wantCode(t, err, "")
	if len(described.Tags.Tag) != 0 {
		t.Errorf("tags come without being asked for: %+v", described.Tags)
	}
}

func TestTagCallsThatAreMalformedAreRefused(t *testing.T) {
	t.Parallel()
	c := start(t, alibaba.Options{})
	c.create(t, "s", "value")
	wantCode(t, c.tag("s", tagsText(19)), "")
	before := c.stored(t, "s").Tags
	for name, test := range map[string]struct {
		err  error
		want string
	}{
		"no tags":                   {c.tag("s", ""), absent},
		"tags that aren't JSON":     {c.tag("s", "k=v"), wrong},
		"a reserved key":            {c.tag("s", `[{"TagKey":"acs:k","TagValue":"v"}]`), wrong},
		"more tags than fit":        {c.tag("s", `[{"TagKey":"x","TagValue":"v"},{"TagKey":"y","TagValue":"v"}]`), tooMany},
		"no keys":                   {c.untag("s", ""), absent},
		"keys that aren't an array": {c.untag("s", "k1,k2"), wrong},
		"removal of a reserved key": {c.untag("s", `["aliyun"]`), wrong},
		"no resource":               {c.tag("", `[]`), absent},
		"a key for a secret":        {c.raw("TagResource", map[string]string{"KeyId": "k", "Tags": "[]"}), "UnsupportedOperation"},
		"two resources":             {c.raw("TagResource", map[string]string{"KeyId": "k", "SecretName": "s", "Tags": "[]"}), wrong},
		"no type":                   {c.raw("TagResources", map[string]string{"ResourceId.1": "s", "Tag.1.Key": "k", "Tag.1.Value": "v"}), absent},
		"another type":              {c.plural("key", []string{"s"}, "k", "v"), wrong},
		"no resources":              {c.plural("secret", nil, "k", "v"), absent},
		"no tag":                    {c.plural("secret", []string{"s"}), absent},
		"51 resources":              {c.plural("secret", make([]string, 51), "k", "v"), wrong},
		"21 tags":                   {c.plural("secret", []string{"s"}, make([]string, 42)...), wrong},
		"an absent secret":          {c.plural("secret", []string{"s", "absent"}, "k18", "changed"), noSecret},
		"nothing to remove":         {c.raw("UntagResources", map[string]string{"ResourceType": "secret", "ResourceId.1": "s"}), absent},
		"a reserved key to remove":  {c.raw("UntagResources", map[string]string{"ResourceType": "secret", "ResourceId.1": "s", "TagKey.1": "acs:"}), wrong},
		"21 keys to remove":         {c.raw("UntagResources", numbered(21)), wrong},
		"a token out of range":      {c.raw("ListTagResources", map[string]string{"ResourceType": "secret", "NextToken": "x"}), wrong},
	} {
		if got := code(test.err); got != test.want {
			t.Errorf("%s ended with %q, want %q", name, got, test.want)
		}
	}
	c.wantTags(t, "s", before)
}

// numbered are the parameters of an UntagResources with n keys.
func numbered(n int) map[string]string {
	parameters := map[string]string{"ResourceType": "secret", "ResourceId.1": "s"}
	for i := range n {
		parameters[fmt.Sprint("TagKey.", i+1)] = fmt.Sprint("absent", i)
	}
	return parameters
}

// plural is TagResources with keys and values in turn.
func (c cloud) plural(kind string, names []string, pairs ...string) error {
	r := kms.CreateTagResourcesRequest()
	var tags []kms.TagResourcesTag
	for i := 0; i+1 < len(pairs); i += 2 {
		key, value := pairs[i], pairs[i+1]
		if key == "" {
			key, value = fmt.Sprint("k", i), "v"
		}
		tags = append(tags, kms.TagResourcesTag{Key: key, Value: value})
	}
	for i := range names {
		if names[i] == "" {
			names[i] = "s"
		}
	}
	r.ResourceType, r.ResourceId, r.Tag = kind, &names, &tags
	_, err := c.TagResources(r)
	return err
}

func TestTagsOfSeveralSecretsAreSetListedAndRemoved(t *testing.T) {
	t.Parallel()
	c := start(t, alibaba.Options{})
	for _, name := range []string{"a", "b", "c"} {
		c.create(t, name, "value")
	}
	wantCode(t, c.plural("secret", []string{"a", "b"}, "team", "x", "env", "prod"), "")
	wantCode(t, c.plural("secret", []string{"b"}, "team", "y"), "")
	c.wantTags(t, "a", map[string]string{"team": "x", "env": "prod"})
	c.wantTags(t, "b", map[string]string{"team": "y", "env": "prod"})
	c.wantTags(t, "c", map[string]string{})

	list := kms.CreateListTagResourcesRequest()
	list.ResourceType, list.Tag = "secret", &[]kms.ListTagResourcesTag{{Key: "team", Value: "y"}, {Key: "env"}}
	answer, err := c.ListTagResources(list)
	wantCode(t, err, "")
	rows := answer.TagResources.TagResource
	if len(rows) != 2 || rows[0].ResourceId != "b" || rows[0].TagKey != "env" || rows[1].TagValue != "y" || answer.NextToken != "" {
		t.Errorf("listed %+v", answer)
	}
	untag := kms.CreateUntagResourcesRequest()
	untag.ResourceType, untag.ResourceId, untag.TagKey, untag.All = "secret", &[]string{"a", "b"}, &[]string{"team", "absent"}, "true"
	_, err = c.UntagResources(untag)
	wantCode(t, err, "")
	c.wantTags(t, "b", map[string]string{"env": "prod"}) // All counts without keys only
	untag = kms.CreateUntagResourcesRequest()
	untag.ResourceType, untag.ResourceId, untag.All = "secret", &[]string{"a"}, "true"
	_, err = c.UntagResources(untag)
	wantCode(t, err, "")
	c.wantTags(t, "a", map[string]string{})
	c.wantTags(t, "b", map[string]string{"env": "prod"})
}

func TestTagsAreListedInPages(t *testing.T) {
	t.Parallel()
	c := start(t, alibaba.Options{})
	for i := range 21 {
		tags := make(map[string]string)
		for j := range 10 {
			tags[fmt.Sprint("k", j)] = "v"
		}
		if err := c.server.Seed(emulator.Secret{Ref: emulator.Ref{Region: region, Name: fmt.Sprint("s", i)}, Tags: tags}); err != nil {
			t.Fatal(err)
		}
	}
	list := kms.CreateListTagResourcesRequest()
	list.ResourceType = "secret"
	first, err := c.ListTagResources(list)
	wantCode(t, err, "")
	list = kms.CreateListTagResourcesRequest()
	list.ResourceType, list.NextToken = "secret", first.NextToken
	second, err := c.ListTagResources(list)
	wantCode(t, err, "")
	if len(first.TagResources.TagResource) != 200 || len(second.TagResources.TagResource) != 10 || second.NextToken != "" {
		t.Errorf("pages of %d and %d, then %q", len(first.TagResources.TagResource), len(second.TagResources.TagResource), second.NextToken)
	}
	seen := make(map[string]bool)
	for _, row := range append(first.TagResources.TagResource, second.TagResources.TagResource...) {
		seen[row.ResourceId+" "+row.TagKey] = true
	}
	if len(seen) != 210 {
		t.Errorf("the pages have %d tags", len(seen))
	}
}
