// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/vault/api"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/test/harness"
)

// What the clouds store at most: the value as text, as bytes, and the name.
var limits = map[string]struct{ text, binary, name int }{
	"tencent-ssm":  {32768, 32768, 128},
	"alicloud-kms": {30720, 23040, 192},
	"huawei-csms":  {32768, 24576, 64},
}

// refusal is a write that can't succeed, and what the answer has to say.
type refusal struct {
	name   string
	secret string // to write, secretName if empty
	body   map[string]any
	says   []string
}

func TestAWriteThatCannotSucceedIsRefusedAndLeavesNothing(t *testing.T) {
	r := harness.Start(t, harness.Dev, harness.Services...)
	for _, cloud := range r.Clouds {
		cloud.ResetCalls()
	}
	data := map[string]any{"password": "1"}
	all := slices.Clone(refusals(r.Destinations()))
	for _, cloud := range r.Clouds {
		all = append(all, tooLarge(cloud.Service)...)
	}
	for _, test := range all {
		t.Run(test.name, func(t *testing.T) {
			secret := test.secret
			if secret == "" {
				secret = secretName
			}
			body := maps.Clone(test.body)
			if body["data"] == nil && body["value"] == nil && body["binary"] == nil {
				body["data"] = data
			}
			if body["destinations"] == nil {
				body["destinations"] = r.Destinations()
			}
			_, err := r.Vault.Client.Logical().WriteWithContext(t.Context(), "cloudsync/secrets/"+secret, body)
			checkRefusal(t, err, test.says)
			checkNothing(t, r, secret)
		})
	}
	for _, cloud := range r.Clouds {
		if calls := cloud.Calls(); calls.Total != 0 {
			t.Errorf("%s was asked for %v", cloud.Service.Type, calls.Counts)
		}
	}
}

func refusals(destinations []string) []refusal {
	return []refusal{
		{"an unknown destination", "", map[string]any{"destinations": "tencent-ssm/nowhere"}, []string{"destination tencent-ssm/nowhere doesn't exist", "destinations/tencent-ssm/nowhere"}},
		{"a destination of an unknown type", "", map[string]any{"destinations": "aws-sm/prod"}, []string{"aws-sm/prod", "unknown", "tencent-ssm"}},
		{"a destination without a type", "", map[string]any{"destinations": "gz"}, []string{`"gz"`, "type/name"}},
		{"one unknown destination among good ones", "", map[string]any{"destinations": append(slices.Clone(destinations), "huawei-csms/nowhere")}, []string{"huawei-csms/nowhere"}},
		{"data and value", "", map[string]any{"data": map[string]any{"a": "1"}, "value": "1"}, []string{"more than one of data, value and binary"}},
		{"value and binary", "", map[string]any{"value": "1", "binary": "MQ=="}, []string{"more than one of data, value and binary"}},
		{"an empty value", "", map[string]any{"value": ""}, []string{"destination alicloud-kms/hz", "empty"}},
		{"bad base64", "", map[string]any{"binary": "not base64!"}, []string{"binary", "base64"}},
		{"base64 without padding", "", map[string]any{"binary": "MQ"}, []string{"binary", "padding"}},
		{"data that is no map", "", map[string]any{"data": "text"}, []string{"data isn't a JSON object"}},
		{"a check-and-set that fails", "", map[string]any{"cas": 1}, []string{"check-and-set"}},
		{"a check-and-set that is no number", "", map[string]any{"cas": "newest"}, []string{`"cas"`}},
		{"a tag whose key is reserved", "", map[string]any{"tags": "acs:env=prod"}, []string{"destination alicloud-kms/hz", "tags", `"acs:env"`, "reserved"}},
		{"a tag with a forbidden character", "", map[string]any{"tags": "env=pröd!"}, []string{"destination alicloud-kms/hz", "tags", `"env"`, `'!'`}},
		{"a tag key that is too long", "", map[string]any{"tags": strings.Repeat("k", 128) + "=v"}, []string{"destination tencent-ssm/gz", "tags", "128", "127"}},
		{"too many tags", "", map[string]any{"tags": tags(11)}, []string{"destination alicloud-kms/hz", "11 tags", "10"}},
		{"a description that is too long", "", map[string]any{"description": strings.Repeat("d", 1024)}, []string{"destination alicloud-kms/hz", "description", "1024"}},
		{"an unknown format", "", map[string]any{"format": "xml"}, []string{"format", `"xml"`, "json, raw"}},
		{"a format that the data doesn't have", "", map[string]any{"format": "raw"}, []string{"destination alicloud-kms/hz", "data", "raw"}},
		{"an unknown deletion policy", "", map[string]any{"deletion_policy": "never"}, []string{"deletion_policy", `"never"`, "schedule, force and retain"}},
		{"one key for several destinations", "", map[string]any{"kms_key_id": "k"}, []string{"kms_key_id", "kms_key_ids"}},
		{"a key for a destination that the secret hasn't", "", map[string]any{"kms_key_ids": "tencent-ssm/other=k"}, []string{"kms_key_ids", "tencent-ssm/other"}},
		{"a misspelt parameter", "", map[string]any{"destination": "tencent-ssm/gz"}, []string{`unknown parameter "destination"`, "destinations"}},
		{"a remote name with a forbidden character", "", map[string]any{"remote_name": "team-a/db"}, []string{"destination huawei-csms/bj", "remote name", `'/'`}},
		{"a wait that is no time", "", map[string]any{"wait": "soon"}, []string{`"wait"`}},
		{"a reserved name", "team-a/versions/db", map[string]any{}, []string{"versions", "reserved"}},
		{"a name above 512 bytes", strings.Repeat("n", 513), map[string]any{}, []string{"name", "513", "512"}},
	}
}

// tooLarge are the writes that pass one limit of a service by one.
func tooLarge(service harness.Service) []refusal {
	limit := limits[service.Type]
	over := func(n, limit int) []string {
		return []string{"destination " + service.Destination, fmt.Sprint(n), fmt.Sprint(limit)}
	}
	bytes := base64.StdEncoding.EncodeToString(make([]byte, limit.binary+1))
	return []refusal{
		{service.Type + ": a value too large", "", map[string]any{"value": strings.Repeat("v", limit.text+1), "destinations": service.Destination}, append(over(limit.text+1, limit.text), "value")},
		{service.Type + ": data too large", "", map[string]any{"data": largest(limit.text + 1), "destinations": service.Destination}, append(over(limit.text+1, limit.text), "data")},
		{service.Type + ": binary too large", "", map[string]any{"binary": bytes, "destinations": service.Destination}, over(limit.binary+1, limit.binary)},
		{service.Type + ": a remote name too long", "", map[string]any{"destinations": service.Destination, "remote_name": strings.Repeat("n", limit.name+1)}, append(over(limit.name+1, limit.name), "remote name", "remote_name")},
	}
}

// largest is data of that size as clouds store it: {"k":"vvv"}.
func largest(size int) map[string]any {
	return map[string]any{"k": strings.Repeat("v", size-len(`{"k":""}`))}
}

func tags(n int) map[string]any {
	all := map[string]any{}
	for i := range n {
		all[fmt.Sprintf("key%d", i)] = "v"
	}
	return all
}

// checkRefusal makes sure that the request was answered as a bad one, with all
// that its maker has to know.
func checkRefusal(t *testing.T, err error, says []string) {
	t.Helper()
	var answer *api.ResponseError
	if !errors.As(err, &answer) {
		t.Fatalf("the request isn't refused: %v", err)
	}
	if answer.StatusCode != http.StatusBadRequest {
		t.Errorf("the status is %d: %v", answer.StatusCode, answer.Errors)
	}
	text := strings.Join(answer.Errors, "\n")
	for _, part := range says {
		if !strings.Contains(text, part) {
			t.Errorf("the answer doesn't say %s: %.300s", part, text)
		}
	}
}

// checkNothing makes sure that Vault knows nothing of a secret, on any path.
func checkNothing(t *testing.T, r harness.Replication, secret string) {
	t.Helper()
	for _, path := range []string{"secrets/", "data/", "metadata/", "status/"} {
		answer, err := r.Vault.Client.Logical().ReadWithContext(t.Context(), "cloudsync/"+path+secret)
		if err != nil || answer != nil { // the client's form of a plain 404
			t.Errorf("%s%s is %v, %v", path, secret, answer, err)
		}
	}
	for _, path := range []string{"cloudsync/secrets/", "cloudsync/metadata/"} {
		if answer, err := r.Vault.Client.Logical().ListWithContext(t.Context(), path); err != nil || answer != nil {
			t.Errorf("the list of %s is %v, %v", path, answer, err)
		}
	}
}

func TestARefusedDestinationIsNotStored(t *testing.T) {
	r := harness.Start(t, harness.Dev, harness.Services...)
	type setting struct {
		name, field string
		value       any
		says        []string
	}
	own := map[string][]setting{
		"tencent-ssm": {
			{"a pointer that looks like a version", "current_version_id", "v1", []string{"current_version_id", `"v1"`}},
		},
		"alicloud-kms": {
			{"an instance that is none", "kms_instance_id", "default", []string{"kms_instance_id", "kst-"}},
			{"a setting of another cloud", "project_id", "x", []string{`unknown parameter "project_id"`}},
		},
		"huawei-csms": {
			{"no project", "project_id", "", []string{"project_id"}},
			{"the name of a project", "project_id", "cn-north-4", []string{"project_id", "32 hexadecimal digits"}},
		},
	}
	for _, cloud := range r.Clouds {
		for _, test := range append(own[cloud.Service.Type], []setting{
			{"plain http", "endpoint", "http://192.0.2.1", []string{"endpoint http://192.0.2.1", "loopback", "https"}},
			{"an endpoint with a path", "endpoint", "https://cloud.example.com/path", []string{"endpoint", "path"}},
			{"an endpoint with a password", "endpoint", "https://user:password@cloud.example.com", []string{"endpoint", "user name"}},
			{"no region", "region", "", []string{"region"}},
			{"no key", "access_key_secret", "", []string{"access_key_secret"}},
			{"an unknown parameter", "regoin", "x", []string{`unknown parameter "regoin"`, "region"}},
			{"a window that the cloud hasn't", "recovery_window_days", 31, []string{"recovery_window_days", "31", "30"}},
			{"a bad glob", "allowed_paths", "team-a/[", []string{"allowed_paths", `"team-a/["`}},
			{"certificates that are none", "ca_cert", "x", []string{"ca_cert"}},
			{"a tag without a key", "custom_tags", map[string]any{"": "x"}, []string{"custom_tags"}},
			{"an unknown way to authenticate", "auth_method", "magic", []string{"auth_method", `"magic"`, "access_key"}},
		}...) {
			t.Run(cloud.Service.Type+", "+test.name, func(t *testing.T) {
				settings := cloud.Settings()
				settings[test.field] = test.value
				path := "cloudsync/destinations/" + cloud.Service.Type + "/refused"
				_, err := r.Vault.Client.Logical().WriteWithContext(t.Context(), path, settings)
				checkRefusal(t, err, test.says)
				if strings.Contains(err.Error(), "password@") {
					t.Errorf("the answer repeats a password: %v", err)
				}
				if answer, err := r.Vault.Client.Logical().ReadWithContext(t.Context(), path); err != nil || answer != nil {
					t.Errorf("the destination is %v, %v", answer, err)
				}
			})
		}
		list, err := r.Vault.Client.Logical().ListWithContext(t.Context(), "cloudsync/destinations/"+cloud.Service.Type)
		if err != nil || fmt.Sprint(list.Data["keys"]) != "["+strings.TrimPrefix(cloud.Service.Destination, cloud.Service.Type+"/")+"]" {
			t.Errorf("the destinations are %v, %v", list, err)
		}
	}
}

// The limits are the clouds' own: what just fits arrives.
func TestWhatJustFitsArrives(t *testing.T) {
	r := harness.Start(t, harness.Dev, harness.Services...)
	for _, cloud := range r.Clouds {
		limit := limits[cloud.Service.Type]
		value, bytes := strings.Repeat("v", limit.text), strings.Repeat("b", limit.binary)
		for _, test := range []struct {
			name, secret string
			body         map[string]any
			want         string
		}{
			{"value", "value", map[string]any{"value": value}, value},
			{"data", "data", map[string]any{"data": largest(limit.text)}, `{"k":"` + strings.Repeat("v", limit.text-8) + `"}`},
			{"binary", "binary", map[string]any{"binary": base64.StdEncoding.EncodeToString([]byte(bytes))}, bytes},
			{"name", strings.Repeat("n", limit.name), map[string]any{"value": "1"}, "1"},
			{"tag", "tag", map[string]any{"value": "1", "tags": strings.Repeat("k", 127) + "=" + strings.Repeat("v", 127)}, "1"},
		} {
			t.Run(cloud.Service.Type+", "+test.name, func(t *testing.T) {
				test.body["destinations"], test.body["wait"] = cloud.Service.Destination, harness.Patience.String()
				if answer := r.Vault.Write("secrets/"+test.secret, test.body); answer.Data["state"] != "in_sync" {
					t.Errorf("the state is %v: %v", answer.Data["state"], answer.Warnings)
				}
				if got := read(t, cloud, test.secret); got != test.want {
					t.Errorf("applications get %d bytes instead of %d", len(got), len(test.want))
				}
			})
		}
		for _, secret := range []string{"value", "data", "binary", "tag"} { // the next cloud has other limits
			if _, err := r.Vault.Client.Logical().DeleteWithContext(t.Context(), "cloudsync/secrets/"+secret); err != nil {
				t.Error(err)
			}
		}
	}
}

// A refusal takes nothing away from a secret that exists, whichever way it is
// written.
func TestARefusedWriteLeavesTheSecretAsItWas(t *testing.T) {
	r := harness.Start(t, harness.Dev, harness.Services...)
	r.Write(secretName, map[string]any{"password": "1"})
	before := r.Vault.Read("status/" + secretName).Data
	for _, cloud := range r.Clouds {
		cloud.ResetCalls()
	}
	for _, test := range []struct {
		name, path string
		body       map[string]any
		says       []string
	}{
		{"a value too large by KV", "data/", map[string]any{"data": largest(30721)}, []string{"alicloud-kms/hz", "30721", "30720"}},
		{"a failed check-and-set by KV", "data/", map[string]any{"data": map[string]any{"a": "2"}, "options": map[string]any{"cas": 3}}, []string{"check-and-set"}},
		{"a failed check-and-set with settings", "secrets/", map[string]any{"data": map[string]any{"a": "2"}, "cas": 3, "tags": "a=b"}, []string{"check-and-set"}},
		{"settings with a check-and-set", "secrets/", map[string]any{"tags": "a=b", "cas": 1}, []string{"cas"}},
		{"nothing", "secrets/", map[string]any{}, []string{"nothing to write", "data, value and binary"}},
		{"a bad tag alone", "secrets/", map[string]any{"tags": "acs:a=b"}, []string{"alicloud-kms/hz", "tags"}},
		{"a version to roll back to that never was", "rollback/", map[string]any{"version": 9}, []string{"version 9", "doesn't exist"}},
		{"a write of a version", "secrets/", map[string]any{"value": "2", "version": 1}, []string{"version", "rollback/"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := r.Vault.Client.Logical().WriteWithContext(t.Context(), "cloudsync/"+test.path+secretName, test.body)
			checkRefusal(t, err, test.says)
		})
	}
	if after := r.Vault.Read("status/" + secretName).Data; fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("the status was\n%v\nand is\n%v", before, after)
	}
	for _, cloud := range r.Clouds {
		if calls := cloud.Calls(); calls.Total != 0 {
			t.Errorf("%s was asked for %v", cloud.Service.Type, calls.Counts)
		}
	}
}
