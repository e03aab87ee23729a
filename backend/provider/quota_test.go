// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package provider

import "testing"

func TestQuotaFor(t *testing.T) {
	t.Parallel()
	named := Quota{Group: "writes", PerSecond: 10, Operations: []string{"Create", "Delete"}}
	rest := Quota{Group: "rest", PerSecond: 20}
	for name, test := range map[string]struct {
		quotas    []Quota
		operation string
		want      string // group, "" for none
	}{
		"an operation has the quota that names it":                  {[]Quota{rest, named}, "Delete", "writes"},
		"one that none names has the quota without names":           {[]Quota{named, rest}, "List", "rest"},
		"without such a quota it has none":                          {[]Quota{named}, "List", ""},
		"a service without documented quotas has none for anything": {nil, "Delete", ""},
	} {
		got, found := QuotaFor(test.quotas, test.operation)
		if got.Group != test.want || found != (test.want != "") {
			t.Errorf("%s: %+v, %t", name, got, found)
		}
	}
}
