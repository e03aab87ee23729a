// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package tencent_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	ssm "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/ssm/v20190923"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/tencent"
)

const invalidValue = "InvalidParameterValue"

func TestCreateSecretEnforcesTheLimits(t *testing.T) {
	t.Parallel()
	tags := func(pairs ...string) (list []*ssm.Tag) {
		for i := 0; i < len(pairs); i += 2 {
			list = append(list, &ssm.Tag{TagKey: &pairs[i], TagValue: &pairs[i+1]})
		}
		return list
	}
	manyTags := func(n int) (pairs []string) {
		for i := range n {
			pairs = append(pairs, fmt.Sprintf("k%d", i), "v")
		}
		return pairs
	}
	binary := func(size int) *string { return p(base64.StdEncoding.EncodeToString(make([]byte, size))) }
	tests := []struct {
		name string
		set  func(*ssm.CreateSecretRequest)
		want string
	}{
		{"a name of 128 bytes is accepted", func(r *ssm.CreateSecretRequest) { r.SecretName = p(strings.Repeat("n", 128)) }, ""},
		{"a name of 129 bytes is refused", func(r *ssm.CreateSecretRequest) { r.SecretName = p(strings.Repeat("n", 129)) }, invalidValue},
		{"an empty name is refused", func(r *ssm.CreateSecretRequest) { r.SecretName = p("") }, invalidValue},
		{"a name with a slash is refused", func(r *ssm.CreateSecretRequest) { r.SecretName = p("a/b") }, invalidValue},
		{"a name with a dot is refused", func(r *ssm.CreateSecretRequest) { r.SecretName = p("a.b") }, invalidValue},
		{"a name that ends with a line break is refused", func(r *ssm.CreateSecretRequest) { r.SecretName = p("a\n") }, invalidValue},
		{"a name that starts with a hyphen is refused", func(r *ssm.CreateSecretRequest) { r.SecretName = p("-a") }, invalidValue},
		{"a version id of 64 bytes with a dot is accepted", func(r *ssm.CreateSecretRequest) { r.VersionId = p("v." + strings.Repeat("1", 62)) }, ""},
		{"a version id of 65 bytes is refused", func(r *ssm.CreateSecretRequest) { r.VersionId = p(strings.Repeat("1", 65)) }, invalidValue},
		{"a version id with a colon is refused", func(r *ssm.CreateSecretRequest) { r.VersionId = p("a:b") }, invalidValue},
		{"a description of 2048 bytes is accepted", func(r *ssm.CreateSecretRequest) { r.Description = p(strings.Repeat("d", 2048)) }, ""},
		{"a description is measured in bytes", func(r *ssm.CreateSecretRequest) { r.Description = p(strings.Repeat("ä", 1025)) }, invalidValue},
		{"a text of 32768 bytes is accepted", func(r *ssm.CreateSecretRequest) { r.SecretString = p(strings.Repeat("x", 32768)) }, ""},
		{"a text of 32769 bytes is refused", func(r *ssm.CreateSecretRequest) { r.SecretString = p(strings.Repeat("x", 32769)) }, invalidValue},
		{"32768 bytes as binary are accepted", func(r *ssm.CreateSecretRequest) { r.SecretString, r.SecretBinary = nil, binary(32768) }, ""},
		{"32769 bytes as binary are refused", func(r *ssm.CreateSecretRequest) { r.SecretString, r.SecretBinary = nil, binary(32769) }, invalidValue},
		{"text and binary together are refused", func(r *ssm.CreateSecretRequest) { r.SecretBinary = binary(1) }, invalidValue},
		{"an empty text beside a binary is accepted", func(r *ssm.CreateSecretRequest) { r.SecretString, r.SecretBinary = p(""), binary(1) }, ""},
		{"no value is refused", func(r *ssm.CreateSecretRequest) { r.SecretString = nil }, invalidValue},
		{"a binary that isn't base64 is refused", func(r *ssm.CreateSecretRequest) { r.SecretString, r.SecretBinary = nil, p("?") }, invalidValue},
		{"50 tags are accepted", func(r *ssm.CreateSecretRequest) { r.Tags = tags(manyTags(50)...) }, ""},
		{"51 tags are refused", func(r *ssm.CreateSecretRequest) { r.Tags = tags(manyTags(51)...) }, invalidValue},
		{"a tag key given twice is refused", func(r *ssm.CreateSecretRequest) { r.Tags = tags("k", "a", "k", "b") }, "InvalidParameterValue.TagKeysDuplicated"},
		{"a tag without a value is refused", func(r *ssm.CreateSecretRequest) { r.Tags = tags("k", "") }, invalidValue},
		{"a reserved tag key is refused", func(r *ssm.CreateSecretRequest) { r.Tags = tags("qcs:k", "v") }, invalidValue},
		{"a tag key of 127 characters is accepted", func(r *ssm.CreateSecretRequest) { r.Tags = tags(strings.Repeat("ä", 127), "v") }, ""},
		{"a tag key of 128 characters is refused", func(r *ssm.CreateSecretRequest) { r.Tags = tags(strings.Repeat("ä", 128), "v") }, invalidValue},
		{"a tag value with a trailing space is refused", func(r *ssm.CreateSecretRequest) { r.Tags = tags("k", "v ") }, invalidValue},
		{"a tag value with an asterisk is refused", func(r *ssm.CreateSecretRequest) { r.Tags = tags("k", "*") }, invalidValue},
		{"a known KMS key is accepted", func(r *ssm.CreateSecretRequest) { r.KmsKeyId = p(emulator.ExampleKMSKeyID) }, ""},
		{"an unknown KMS key is refused", func(r *ssm.CreateSecretRequest) { r.KmsKeyId = p("nobody-knows-it") }, "FailedOperation.AccessKmsError"},
		{"a secret type of the service's own is refused", func(r *ssm.CreateSecretRequest) { r.SecretType = p(uint64(1)) }, invalidValue},
	}
	c := start(t, tencent.Options{})
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := ssm.NewCreateSecretRequest()
			r.SecretName, r.SecretString = p(fmt.Sprintf("case-%d", i)), p("value")
			test.set(r)
			_, err := c.CreateSecret(r)
			wantCode(t, err, test.want)
			if _, there := c.server.Inspect(region, *r.SecretName); there != (test.want == "") {
				t.Errorf("after code %q the secret is there: %v", test.want, there)
			}
		})
	}
}

func TestWritesEnforceTheLimits(t *testing.T) {
	t.Parallel()
	c := start(t, tencent.Options{})
	c.create(t, "s", "value")
	large := strings.Repeat("x", 32769)
	wantCode(t, c.put("s", "v2", large), invalidValue)
	wantCode(t, c.put("s", "v2", ""), invalidValue)
	wantCode(t, c.put("s", "", "value"), invalidValue)
	wantCode(t, c.update("s", "v1", large), invalidValue)
	wantCode(t, c.update("s", "v1", ""), invalidValue)
	wantCode(t, c.updateDescription("s", strings.Repeat("x", 2049)), invalidValue)
	wantCode(t, c.updateDescription("s", ""), "")
	wantCode(t, c.disable("s"), "")
	wantCode(t, c.deleteAfter("s", 31), invalidValue)
	stored, _ := c.server.Inspect(region, "s")
	if len(stored.Versions) != 1 || stored.Versions[0].Text != "value" || stored.State != "Disabled" {
		t.Errorf("refused calls left %+v", stored)
	}
}

func TestTheEleventhVersionIsRefusedUntilOneIsDeleted(t *testing.T) {
	t.Parallel()
	c := start(t, tencent.Options{})
	c.create(t, "s", "value")
	for i := 2; i <= 10; i++ {
		wantCode(t, c.put("s", fmt.Sprintf("v%d", i), "value"), "")
	}
	wantCode(t, c.put("s", "v11", "value"), "LimitExceeded")
	wantCode(t, c.update("s", "v10", "changed"), "")
	wantCode(t, c.deleteVersion("s", "v1"), "")
	wantCode(t, c.put("s", "v11", "value"), "")
}

func TestTheNumberOfSecretsIsLimitedPerRegion(t *testing.T) {
	t.Parallel()
	c := start(t, tencent.Options{Switches: tencent.Switches{SecretLimit: 2}})
	c.create(t, "a", "value")
	c.create(t, "b", "value")
	wantCode(t, c.disable("b"), "")
	wantCode(t, c.deleteAfter("b", 1), "") // counts until it is gone
	third := ssm.NewCreateSecretRequest()
	third.SecretName, third.SecretString = p("c"), p("value")
	_, err := c.CreateSecret(third)
	wantCode(t, err, "LimitExceeded")
	elsewhere := cloud{clientFor(t, c.endpoint, emulator.ExampleAccount(), "ap-beijing"), c.server, c.endpoint}
	elsewhere.create(t, "c", "value")
}

func TestADisabledKMSKeyStopsReadingAndWritingButNotMetadata(t *testing.T) {
	t.Parallel()
	c := start(t, tencent.Options{})
	r := ssm.NewCreateSecretRequest()
	r.SecretName, r.VersionId, r.SecretString, r.KmsKeyId = p("s"), p("v1"), p("value"), p(emulator.ExampleKMSKeyID)
	_, err := c.CreateSecret(r)
	wantCode(t, err, "")
	c.server.KMSKeys().Put(emulator.KMSKey{ID: emulator.ExampleKMSKeyID, Disabled: true})

	const kms = "FailedOperation.AccessKmsError"
	_, err = c.get("s", "v1")
	wantCode(t, err, kms)
	wantCode(t, c.put("s", "v2", "value"), kms)
	described, err := c.describe("s")
	wantCode(t, err, "")
	if *described.KmsKeyId != emulator.ExampleKMSKeyID {
		t.Errorf("the key is %s", *described.KmsKeyId)
	}
	c.create(t, "other", "the default key works")
}

func TestSwitchesChooseWhatIsNotDocumented(t *testing.T) {
	t.Parallel()
	const twoVersions = "v1 v2"
	tests := []struct {
		name     string
		switches tencent.Switches
		check    func(*testing.T, cloud)
	}{
		{"enabling twice fails", tencent.Switches{StrictSwitching: true}, func(t *testing.T, c cloud) {
			wantCode(t, c.enable("s"), failed)
			wantCode(t, c.disable("s"), "")
			wantCode(t, c.disable("s"), failed)
		}},
		{"the unused value is left out", tencent.Switches{OmitUnusedValue: true}, func(t *testing.T, c cloud) {
			got, err := c.get("s", "v1")
			wantCode(t, err, "")
			if got.SecretBinary != nil || *got.SecretString != "value" {
				t.Errorf("binary is %v", got.SecretBinary)
			}
		}},
		{"no versions are null", tencent.Switches{NullVersions: true}, func(t *testing.T, c cloud) {
			wantCode(t, c.deleteVersion("s", "v1"), "")
			r := ssm.NewListSecretVersionIdsRequest()
			r.SecretName = p("s")
			answer, err := c.ListSecretVersionIds(r)
			wantCode(t, err, "")
			if answer.Response.Versions != nil {
				t.Errorf("versions are %v", answer.Response.Versions)
			}
		}},
		{"versions come oldest first", tencent.Switches{VersionsOldestFirst: true}, func(t *testing.T, c cloud) {
			wantCode(t, c.put("s", "v2", "value"), "")
			ids, err := c.versions("s")
			wantCode(t, err, "")
			if strings.Join(ids, " ") != twoVersions {
				t.Errorf("versions are %v", ids)
			}
		}},
		{"the old value limit holds", tencent.Switches{ValueLimit: 4096}, func(t *testing.T, c cloud) {
			wantCode(t, c.put("s", "v2", strings.Repeat("x", 4096)), "")
			wantCode(t, c.put("s", "v3", strings.Repeat("x", 4097)), invalidValue)
		}},
		{"version ids have no dot", tencent.Switches{NoDotInVersionID: true}, func(t *testing.T, c cloud) {
			wantCode(t, c.put("s", "v2.0", "value"), invalidValue)
		}},
		{"an empty description is refused", tencent.Switches{NoEmptyDescription: true}, func(t *testing.T, c cloud) {
			wantCode(t, c.updateDescription("s", ""), "MissingParameter")
		}},
		{"an update moves the version's time", tencent.Switches{UpdateMovesTime: true}, func(t *testing.T, c cloud) {
			before, _ := c.server.Inspect(region, "s")
			wantCode(t, c.update("s", "v1", "later"), "")
			after, _ := c.server.Inspect(region, "s")
			if !after.Versions[0].Created.After(before.Versions[0].Created) {
				t.Errorf("the version's time is %s", after.Versions[0].Created)
			}
		}},
		{"binary values are measured in base64", tencent.Switches{EncodedBinarySize: true, ValueLimit: 4}, func(t *testing.T, c cloud) {
			r := ssm.NewPutSecretValueRequest()
			r.SecretName, r.VersionId, r.SecretBinary = p("s"), p("v2"), p("AAEC")
			_, err := c.PutSecretValue(r)
			wantCode(t, err, "")
			r = ssm.NewPutSecretValueRequest()
			r.SecretName, r.VersionId, r.SecretBinary = p("s"), p("v3"), p("AAECAw==") // four bytes
			_, err = c.PutSecretValue(r)
			wantCode(t, err, invalidValue)
		}},
		{"an unusable key is unauthorized", tencent.Switches{KMSUnauthorized: true}, func(t *testing.T, c cloud) {
			r := ssm.NewCreateSecretRequest()
			r.SecretName, r.SecretString, r.KmsKeyId = p("other"), p("value"), p("nobody-knows-it")
			_, err := c.CreateSecret(r)
			wantCode(t, err, "UnauthorizedOperation.AccessKmsError")
		}},
		{"a search finds whole names only", tencent.Switches{ExactSearch: true}, func(t *testing.T, c cloud) {
			c.create(t, "s2", "value")
			r := ssm.NewListSecretsRequest()
			r.SearchSecretName = p("s")
			answer, err := c.ListSecrets(r)
			wantCode(t, err, "")
			if *answer.Response.TotalCount != 1 {
				t.Errorf("found %d secrets", *answer.Response.TotalCount)
			}
		}},
		{"an absent secret has a code of its own", tencent.Switches{SecretNotExistCode: true}, func(t *testing.T, c cloud) {
			_, err := c.get("absent", "v1")
			wantCode(t, err, "ResourceNotFound.SecretNotExist")
			_, err = c.get("s", "v9")
			wantCode(t, err, "ResourceNotFound")
		}},
		{"the service role is missing", tencent.Switches{RoleMissing: true}, func(t *testing.T, c cloud) {
			_, err := c.get("s", "v1")
			wantCode(t, err, "OperationDenied.RoleNotExist")
		}},
		{"the service isn't purchased", tencent.Switches{NotPurchased: true}, func(t *testing.T, c cloud) {
			wantCode(t, c.put("s", "v2", "value"), "ResourceUnavailable.NotPurchased")
			status, err := c.GetServiceStatus(ssm.NewGetServiceStatusRequest())
			wantCode(t, err, "")
			if *status.Response.ServiceEnabled {
				t.Error("the service says that it is enabled")
			}
		}},
		{"tags don't exist", tencent.Switches{TagsMissing: true}, func(t *testing.T, c cloud) {
			_, err := c.createTagged()
			wantCode(t, err, "InvalidParameterValue.TagsNotExisted")
		}},
		{"a secret is made without its tags", tencent.Switches{TagCode: 2}, func(t *testing.T, c cloud) {
			answer, err := c.createTagged()
			wantCode(t, err, "")
			stored, _ := c.server.Inspect(region, "tagged")
			if *answer.Response.TagCode != 2 || len(stored.Tags) != 0 {
				t.Errorf("tag code %d, tags %v", *answer.Response.TagCode, stored.Tags)
			}
		}},
		{"a deleted secret shows for a while", tencent.Switches{DeletionLag: 3600}, func(t *testing.T, c cloud) {
			wantCode(t, c.disable("s"), "")
			wantCode(t, c.deleteAfter("s", 0), "")
			described, err := c.describe("s")
			wantCode(t, err, "")
			if *described.Status != "Disabled" || *described.DeleteTime != 0 {
				t.Errorf("status %s, delete time %d", *described.Status, *described.DeleteTime)
			}
			c.server.Clock().SetOffset(2 * 3600 * 1e9)
			if _, there := c.server.Inspect(region, "s"); there {
				t.Error("the secret is there after the lag")
			}
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := start(t, tencent.Options{})
			c.create(t, "s", "value")
			if err := c.server.Switch(test.switches); err != nil {
				t.Fatal(err)
			}
			test.check(t, c)
		})
	}
}

func (c cloud) createTagged() (*ssm.CreateSecretResponse, error) {
	r := ssm.NewCreateSecretRequest()
	r.SecretName, r.SecretString = p("tagged"), p("value")
	r.Tags = []*ssm.Tag{{TagKey: p("team"), TagValue: p("a")}}
	return c.CreateSecret(r)
}

func TestTagsAreStored(t *testing.T) {
	t.Parallel()
	c := start(t, tencent.Options{})
	answer, err := c.createTagged()
	wantCode(t, err, "")
	stored, _ := c.server.Inspect(region, "tagged")
	if *answer.Response.TagCode != 0 || stored.Tags["team"] != "a" {
		t.Errorf("tag code %d, tags %v", *answer.Response.TagCode, stored.Tags)
	}
}
