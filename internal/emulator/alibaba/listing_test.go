// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package alibaba_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/kms"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/alibaba"
)

// seedFour stores four secrets of different kinds, the first the oldest.
func (c cloud) seedFour(t *testing.T) {
	t.Helper()
	begin := time.Now().Add(-time.Hour)
	for i, seed := range []emulator.Secret{
		{Ref: emulator.Ref{Name: "web-a"}, Tags: map[string]string{"team": "a"}, Description: "the web"},
		{Ref: emulator.Ref{Name: "app-b"}, Tags: map[string]string{"team": "b", "env": "x"}},
		{Ref: emulator.Ref{Name: "app-a"}, State: "PendingDeletion", DeletionTime: time.Now().Add(time.Hour)},
		{Ref: emulator.Ref{Name: "database"}, Type: "Rds", Instance: "kst-x"},
	} {
		seed.Region, seed.Created = region, begin.Add(time.Duration(i)*time.Minute)
		if err := c.server.Seed(seed); err != nil {
			t.Fatal(err)
		}
	}
}

func (c cloud) list(filters string, page, size requests.Integer) (string, *kms.ListSecretsResponse, error) {
	r := kms.CreateListSecretsRequest()
	r.Filters, r.PageNumber, r.PageSize, r.FetchTags = filters, page, size, "true"
	answer, err := c.ListSecrets(r)
	var names []string
	for _, row := range answer.SecretList.Secret {
		names = append(names, row.SecretName)
	}
	return strings.Join(names, " "), answer, err
}

func TestListSecretsFiltersAndPages(t *testing.T) {
	t.Parallel()
	c := start(t, alibaba.Options{})
	c.seedFour(t)
	tests := []struct {
		name, filters string
		page, size    requests.Integer
		want          string
		total         int
	}{
		{"without filters they come by name", "", "", "", "app-a app-b database web-a", 4},
		{"a whole name filters", `[{"Key":"SecretName","Values":["app-b","web-a","app"]}]`, "", "", "app-b web-a", 2},
		{"a description filters", `[{"Key":"Description","Values":["the web"]}]`, "", "", "web-a", 1},
		{"a tag's key and value filter together", `[{"Key":"TagKey","Values":["team"]},{"Key":"TagValue","Values":["b"]}]`, "", "", "app-b", 1},
		{"a type filters", `[{"Key":"SecretType","Values":["Rds"]}]`, "", "", "database", 1},
		{"an instance filters", `[{"Key":"DKMSInstanceId","Values":["kst-x"]}]`, "", "", "database", 1},
		{"a creator filters", `[{"Key":"Creator","Values":["nobody"]}]`, "", "", "", 0},
		{"a filter without values lets all pass", `[{"Key":"SecretName"}]`, "", "", "app-a app-b database web-a", 4},
		{"a page is a window on all", "", "2", "3", "web-a", 4},
		{"beyond the end there is nothing", "", "2147483647", "100", "", 4},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, answer, err := c.list(test.filters, test.page, test.size)
			wantCode(t, err, "")
			if got != test.want || answer.TotalCount != test.total {
				t.Errorf("listed %q of %d, want %q of %d", got, answer.TotalCount, test.want, test.total)
			}
		})
	}
	_, answer, err := c.list("", "", "")
	wantCode(t, err, "")
	rows := answer.SecretList.Secret
	if rows[0].PlannedDeleteTime == "" || rows[1].PlannedDeleteTime != "" || len(rows[1].Tags.Tag) != 2 || rows[2].SecretType != "Rds" ||
		answer.PageNumber != 1 || answer.PageSize != 10 {
		t.Errorf("listed %+v", answer)
	}
	for name, bad := range map[string]kms.ListSecretsRequest{
		"page 0":                       {PageNumber: "0"},
		"a page of 101":                {PageSize: "101"},
		"a page that isn't a number":   {PageSize: "x"},
		"a filter with an unknown key": {Filters: `[{"Key":"Colour","Values":["red"]}]`},
		"filters that aren't JSON":     {Filters: "SecretName=s"},
		"eleven filters":               {Filters: "[" + strings.Repeat(`{"Key":"TagKey"},`, 10) + `{"Key":"TagKey"}]`},
		"eleven values":                {Filters: `[{"Key":"SecretName","Values":["1","2","3","4","5","6","7","8","9","10","11"]}]`},
	} {
		if _, _, err := c.list(bad.Filters, bad.PageNumber, bad.PageSize); code(err) != wrong {
			t.Errorf("%s ended with %v", name, err)
		}
	}
}

func TestKeysRegionsAndTheAccountAreDescribed(t *testing.T) {
	t.Parallel()
	c := start(t, alibaba.Options{
		Options: emulator.Options{KMSKeys: []emulator.KMSKey{
			{ID: "key-a", Instance: "kst-a"}, {ID: "key-off", Disabled: true}, {ID: "key-going", PendingDeletion: true}, {ID: "far", Region: "cn-beijing"},
		}},
		Regions: []string{region, "cn-beijing"},
	})
	for id, want := range map[string]string{
		"key-a": "Enabled", "key-off": "Disabled", "key-going": "PendingDeletion", "acs:kms:cn-hangzhou:100000000001:key/key-a": "Enabled",
		"far": "Forbidden.KeyNotFound", "alias/a": "Forbidden.AliasNotFound", "": absent,
	} {
		r := kms.CreateDescribeKeyRequest()
		r.KeyId = id
		answer, err := c.DescribeKey(r)
		if err != nil && code(err) != want || err == nil && answer.KeyMetadata.KeyState != want {
			t.Errorf("key %q is %+v, %v, want %s", id, answer.KeyMetadata, err, want)
		}
		if want == "Enabled" && (answer.KeyMetadata.KeyId != "key-a" || answer.KeyMetadata.DKMSInstanceId != "kst-a") {
			t.Errorf("key %q is %+v", id, answer.KeyMetadata)
		}
	}
	tags := kms.CreateListResourceTagsRequest()
	tags.KeyId = "key-a"
	if _, err := c.ListResourceTags(tags); err != nil {
		t.Error(err)
	}
	tags = kms.CreateListResourceTagsRequest()
	tags.KeyId = "s" // secrets have none of these
	_, err := c.ListResourceTags(tags)
	wantCode(t, err, "Forbidden.KeyNotFound")
	regions, err := c.regions()
	wantCode(t, err, "")
	if len(regions.Regions.Region) != 2 || regions.Regions.Region[0].RegionId != region {
		t.Errorf("regions are %+v", regions)
	}
	status, err := c.DescribeAccountKmsStatus(kms.CreateDescribeAccountKmsStatusRequest())
	wantCode(t, err, "")
	if status.AccountStatus != "Enabled" {
		t.Errorf("the account is %s", status.AccountStatus)
	}
	_, err = c.as(t, emulator.ExampleAccount(), "eu-nowhere").describe("s")
	wantCode(t, err, wrong)
}

func TestRandomPasswordsAreAsTheyWereOrdered(t *testing.T) {
	t.Parallel()
	c := start(t, alibaba.Options{})
	order := func(set func(*kms.GetRandomPasswordRequest)) (string, error) {
		r := kms.CreateGetRandomPasswordRequest()
		set(r)
		answer, err := c.GetRandomPassword(r)
		return answer.RandomPassword, err
	}
	first, err := order(func(*kms.GetRandomPasswordRequest) {})
	wantCode(t, err, "")
	second, err := order(func(*kms.GetRandomPasswordRequest) {})
	wantCode(t, err, "")
	if len(first) != 32 || first == second {
		t.Errorf("got %q and %q", first, second)
	}
	for range 50 {
		got, err := order(func(r *kms.GetRandomPasswordRequest) {
			r.PasswordLength, r.ExcludePunctuation, r.ExcludeCharacters = "8", "true", "aA0"
		})
		wantCode(t, err, "")
		lower, upper, digit := strings.ContainsAny(got, "bcdefghijklmnopqrstuvwxyz"), strings.ToLower(got) != got, strings.ContainsAny(got, "123456789")
		if len(got) != 8 || strings.ContainsAny(got, "aA0!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~") || !lower || !upper || !digit {
			t.Errorf("got %q", got)
		}
	}
	for _, length := range []string{"7", "129", "x"} {
		_, err = order(func(r *kms.GetRandomPasswordRequest) { r.PasswordLength = length })
		wantCode(t, err, wrong)
	}
	_, err = order(func(r *kms.GetRandomPasswordRequest) {
		r.ExcludePunctuation, r.ExcludeLowercase, r.ExcludeUppercase, r.ExcludeNumbers = "true", "true", "true", "true"
	})
	wantCode(t, err, wrong)
}
