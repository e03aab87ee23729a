// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package tencent_test

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common"
	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/profile"
	tag "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/tag/v20180813"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/tencent"
)

// tagClient is the official SDK's client of the Tag service at the same address.
func (c cloud) tagClient(t *testing.T) *tag.Client {
	t.Helper()
	a, settings := emulator.ExampleAccount(), profile.NewClientProfile()
	settings.HttpProfile.Scheme, settings.HttpProfile.Endpoint = "http", strings.TrimPrefix(c.endpoint, "http://")
	client, err := tag.NewClient(common.NewCredential(a.AccessKeyID, a.AccessKeySecret), region, settings)
	if err != nil {
		t.Fatal(err)
	}
	connections := &http.Transport{}
	t.Cleanup(connections.CloseIdleConnections)
	client.WithHttpTransport(connections)
	return client
}

// resource is the name of a secret of the example account.
func resource(uin, name string) string {
	return "qcs::ssm:" + region + ":uin/" + uin + ":secret/creatorUin/" + emulator.ExampleAccountID + "/" + name
}

func modify(on string, set [][2]string, remove ...string) *tag.ModifyResourceTagsRequest {
	r := tag.NewModifyResourceTagsRequest()
	r.Resource = &on
	for _, t := range set {
		r.ReplaceTags = append(r.ReplaceTags, &tag.Tag{TagKey: &t[0], TagValue: &t[1]})
	}
	for _, key := range remove {
		r.DeleteTags = append(r.DeleteTags, &tag.TagKeyObject{TagKey: &key})
	}
	return r
}

// pairs are n tags.
func pairs(n int) [][2]string {
	var list [][2]string
	for i := range n {
		list = append(list, [2]string{fmt.Sprintf("k%02d", i), "v"})
	}
	return list
}

func TestTheTagServiceChangesAndListsTagsOfSecrets(t *testing.T) {
	t.Parallel()
	c := start(t, tencent.Options{Options: emulator.Options{DataDir: t.TempDir()}})
	tags := c.tagClient(t)
	c.create(t, "s", "value")
	for _, r := range []*tag.ModifyResourceTagsRequest{
		modify(resource("", "s"), pairs(10)),
		modify(resource(emulator.ExampleAccountID, "s"), [][2]string{{"k00", "changed"}, {"another", "v"}}, "k01", "never-there"),
		modify(resource("", "s"), [][2]string{{"x1", "v"}, {"x2", "v"}, {"x3", "v"}, {"x4", "v"}, {"x5", "v"}, {"x6", "v"}, {"x7", "v"}}),
	} {
		if _, err := tags.ModifyResourceTags(r); err != nil {
			t.Fatal(err)
		}
	}
	stored, _ := c.server.Inspect(region, "s")
	if len(stored.Tags) != 17 || stored.Tags["k00"] != "changed" || stored.Tags["k01"] != "" {
		t.Errorf("the tags are %v", stored.Tags)
	}
	found := map[string]string{}
	for _, offset := range []uint64{0, 15} {
		r := tag.NewDescribeResourceTagsByResourceIdsRequest()
		r.ServiceType, r.ResourcePrefix, r.ResourceRegion = p("ssm"), p("secret"), p(region)
		r.ResourceIds, r.Offset = []*string{p("creatorUin/" + emulator.ExampleAccountID + "/s")}, &offset
		answer, err := tags.DescribeResourceTagsByResourceIds(r)
		if err != nil {
			t.Fatal(err)
		}
		if *answer.Response.TotalCount != 17 || len(answer.Response.Tags) > 15 {
			t.Errorf("a page of %d of %d tags", len(answer.Response.Tags), *answer.Response.TotalCount)
		}
		for _, row := range answer.Response.Tags {
			found[*row.TagKey] = *row.TagValue
		}
	}
	if !maps.Equal(found, stored.Tags) {
		t.Errorf("listed are %v", found)
	}
}

func TestTheTagServiceRefusesWhatItsRulesForbid(t *testing.T) {
	t.Parallel()
	c := start(t, tencent.Options{})
	tags := c.tagClient(t)
	full := map[string]string{}
	for _, pair := range pairs(50) {
		full[pair[0]] = pair[1]
	}
	for name, tags := range map[string]map[string]string{"s": nil, "full": full} {
		if err := c.server.Seed(emulator.Secret{Ref: emulator.Ref{Region: region, Name: name}, Tags: tags}); err != nil {
			t.Fatal(err)
		}
	}
	s, one := resource("", "s"), pairs(1)
	pair := func(key, value string) [][2]string { return [][2]string{{key, value}} }
	for name, test := range map[string]struct {
		request *tag.ModifyResourceTagsRequest
		code    string
	}{
		"neither list":                {modify(s, nil), "MissingParameter"},
		"too many to set":             {modify(s, pairs(11)), "LimitExceeded.TagNumPerRequest"},
		"too many to remove":          {modify(s, nil, strings.Split("a b c d e f g h i j k", " ")...), "LimitExceeded.TagNumPerRequest"},
		"a key twice":                 {modify(s, append(pairs(1), pairs(1)...)), "InvalidParameterValue.TagKeyDuplicate"},
		"a key in both lists":         {modify(s, one, "k00"), "InvalidParameterValue.DeleteTagsParamError"},
		"one too many":                {modify(resource("", "full"), pair("new", "v")), "LimitExceeded.ResourceAttachedTags"},
		"an empty key":                {modify(s, pair("", "v")), "InvalidParameterValue.TagKeyEmpty"},
		"a long key":                  {modify(s, pair(strings.Repeat("k", 128), "v")), "InvalidParameterValue.TagKeyLengthExceeded"},
		"a reserved key":              {modify(s, pair("project", "v")), "InvalidParameter.ReservedTagKey"},
		"a reserved key to remove":    {modify(s, nil, "qcs:a"), "InvalidParameter.ReservedTagKey"},
		"a forbidden character":       {modify(s, pair("k!", "v")), "InvalidParameterValue.TagKeyCharacterIllegal"},
		"an empty value":              {modify(s, pair("k", "")), "InvalidParameterValue.TagValueEmpty"},
		"a long value":                {modify(s, pair("k", strings.Repeat("v", 256))), "InvalidParameterValue.TagValueLengthExceeded"},
		"a forbidden value":           {modify(s, pair("k", "v!")), "InvalidParameterValue.TagValueCharacterIllegal"},
		"an absent secret":            {modify(resource("", "absent"), one), "InvalidParameterValue.ResourceDescriptionError"},
		"somebody else's account":     {modify(resource("7", "s"), one), "InvalidParameterValue.ResourceDescriptionError"},
		"another creator":             {modify("qcs::ssm:"+region+":uin/:secret/creatorUin/7/s", one), "InvalidParameterValue.ResourceDescriptionError"},
		"another region":              {modify("qcs::ssm:ap-beijing:uin/:secret/creatorUin/"+emulator.ExampleAccountID+"/s", one), "InvalidParameterValue.ResourceDescriptionError"},
		"a name without six segments": {modify("s", one), "InvalidParameterValue.ResourceDescriptionError"},
	} {
		if _, err := tags.ModifyResourceTags(test.request); code(err) != test.code {
			t.Errorf("%s: %v, want %s", name, err, test.code)
		}
	}
	if stored, _ := c.server.Inspect(region, "s"); len(stored.Tags) != 0 {
		t.Errorf("a refused call has set %v", stored.Tags)
	}
	if _, err := tags.ModifyResourceTags(modify(resource("", "full"), pair("new", "v"), "k00")); err != nil {
		t.Errorf("a tag in the place of another: %v", err)
	}
}

func TestAListingOfTagsIsCheckedToo(t *testing.T) {
	t.Parallel()
	c := start(t, tencent.Options{})
	tags := c.tagClient(t)
	c.create(t, "s", "value")
	id := "creatorUin/" + emulator.ExampleAccountID + "/s"
	for want, change := range map[string]func(*tag.DescribeResourceTagsByResourceIdsRequest){
		"": func(*tag.DescribeResourceTagsByResourceIdsRequest) {},
		"InvalidParameterValue.ServiceTypeInvalid":    func(r *tag.DescribeResourceTagsByResourceIdsRequest) { r.ServiceType = p("cvm") },
		"InvalidParameterValue.ResourcePrefixInvalid": func(r *tag.DescribeResourceTagsByResourceIdsRequest) { r.ResourcePrefix = p("key") },
		"InvalidParameterValue.RegionInvalid":         func(r *tag.DescribeResourceTagsByResourceIdsRequest) { r.ResourceRegion = p("moon") },
		"InvalidParameterValue.ResourceIdInvalid":     func(r *tag.DescribeResourceTagsByResourceIdsRequest) { r.ResourceIds[0] = p("s") },
		"InvalidParameterValue.OffsetInvalid":         func(r *tag.DescribeResourceTagsByResourceIdsRequest) { r.Offset = p(uint64(7)) },
		"MissingParameter":                            func(r *tag.DescribeResourceTagsByResourceIdsRequest) { r.ResourceRegion = nil },
		"LimitExceeded.ResourceNumPerRequest": func(r *tag.DescribeResourceTagsByResourceIdsRequest) {
			for range 50 {
				r.ResourceIds = append(r.ResourceIds, &id)
			}
		},
	} {
		r := tag.NewDescribeResourceTagsByResourceIdsRequest()
		r.ServiceType, r.ResourcePrefix, r.ResourceRegion, r.ResourceIds = p("ssm"), p("secret"), p(region), []*string{&id}
		change(r)
		if _, err := tags.DescribeResourceTagsByResourceIds(r); code(err) != want {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestACallIsForTheServiceOfItsHostOrElseOfItsSignature(t *testing.T) {
	t.Parallel()
	listing := fmt.Sprintf(`{"ServiceType":"ssm","ResourcePrefix":"secret","ResourceRegion":%q,"ResourceIds":["creatorUin/%s/s"]}`, region, emulator.ExampleAccountID)
	for name, test := range map[string]struct {
		change func(*wire)
		want   string
	}{
		"signed for it":                        {func(*wire) {}, ""},
		"by its name":                          {func(w *wire) { w.host = "tag.intl.tencentcloudapi.com" }, ""},
		"by its name, signed for another":      {func(w *wire) { w.host, w.service = "tag.tencentcloudapi.com", "ssm" }, signatureFailure},
		"by another's name":                    {func(w *wire) { w.host = "ssm.tencentcloudapi.com" }, signatureFailure},
		"signed for another":                   {func(w *wire) { w.service = "ssm" }, "NoSuchVersion"},
		"with the version of another":          {func(w *wire) { w.version = "2019-09-23" }, "NoSuchVersion"},
		"with the operation of another":        {func(w *wire) { w.action = "DescribeSecret" }, "InvalidAction"},
		"without a region, which it needs not": {func(w *wire) { w.region = "" }, ""},
	} {
		w := newWire()
		w.service, w.version, w.action, w.body = "tag", "2018-08-13", "DescribeResourceTagsByResourceIds", listing
		test.change(&w)
		if got := answerTo(t, atNoon(t), w.request()); got.code != test.want {
			t.Errorf("%s: %q, want %q", name, got.code, test.want)
		}
	}
}

func TestTheTagServiceHasPermissionsOfItsOwnAndGoesOnWithoutSSM(t *testing.T) {
	t.Parallel()
	c := start(t, tencent.Options{Switches: tencent.Switches{NotPurchased: true}})
	tags := c.tagClient(t)
	if err := c.server.Seed(emulator.Secret{Ref: emulator.Ref{Region: region, Name: "s"}}); err != nil {
		t.Fatal(err)
	}
	_, err := tags.ModifyResourceTags(modify(resource("", "s"), pairs(1)))
	wantCode(t, err, "")
	account := emulator.ExampleAccount()
	account.Denied = []string{"ModifyResourceTags"}
	if err := c.server.Account(account); err != nil {
		t.Fatal(err)
	}
	_, err = tags.ModifyResourceTags(modify(resource("", "s"), pairs(2)))
	wantCode(t, err, "UnauthorizedOperation")
	if !strings.Contains(err.Error(), "tag:ModifyResourceTags") {
		t.Errorf("the refusal is %v", err)
	}
	calls := c.server.Calls().List()
	if last := calls[len(calls)-1]; last.Operation != "ModifyResourceTags" || last.Secret != "s" || last.Region != region {
		t.Errorf("logged as %+v", last)
	}
}
