// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package alibaba

import (
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

// maxPageNumber keeps the product with a page's size in range.
const maxPageNumber = math.MaxInt32

func describeSecret(c *call, r *reader) work {
	name, fetchTags := r.secretName(), r.flag("FetchTags", false)
	return func() (reply, *emulator.Failure) {
		found, failure := c.secret(name)
		if failure != nil {
			return nil, failure
		}
		answer := found.row(fetchTags)
		answer["Arn"], answer["Description"] = found.arn(), found.Description
		if found.Instance != "" {
			answer["DKMSInstanceId"] = found.Instance
		}
		switch {
		case found.KMSKeyID != "":
			answer["EncryptionKeyId"] = found.KMSKeyID
		case c.switches.ShowDefaultKey:
			answer["EncryptionKeyId"] = "key-default-of-" + found.Region
		}
		if found.Managed != nil {
			found.Managed.describe(answer, true)
		}
		return answer, nil
	}
}

// row is what DescribeSecret and ListSecrets both tell.
func (s *secret) row(withTags bool) reply {
	row := reply{
		"SecretName": s.Name, "SecretType": s.Type, "CreateTime": timeText(s.Created), "UpdateTime": timeText(s.Updated),
	}
	if s.pendingDeletion() {
		row["PlannedDeleteTime"] = timeText(s.ShownDeleteAt)
	}
	if withTags {
		row["Tags"] = reply{"Tag": s.tagRows()}
	}
	return row
}

func (s *secret) tagRows() []reply {
	rows := make([]reply, 0, len(s.Tags))
	for _, key := range slices.Sorted(maps.Keys(s.Tags)) {
		rows = append(rows, reply{"TagKey": key, "TagValue": s.Tags[key]})
	}
	return rows
}

// filter is one of ListSecrets; its values are alternatives.
type filter struct {
	Key    string
	Values []string
}

func listSecrets(c *call, r *reader) work {
	number, size := r.number("PageNumber", 1, maxPageNumber, 1), r.number("PageSize", 1, maxPage, 10)
	fetchTags := r.flag("FetchTags", false)
	var filters []filter
	r.decode("Filters", &filters)
	r.check("Filters", len(filters) <= maxFilters)
	for _, f := range filters {
		_, known := filterFields[f.Key]
		r.check("Filters", known && len(f.Values) <= maxFilterValue)
	}
	return func() (reply, *emulator.Failure) {
		all := c.server.secrets.ListLocked(c.Account.AccountID, c.Region, c.now)
		if c.switches.NewestFirst {
			slices.SortStableFunc(all, func(a, b *secret) int { return b.Created.Compare(a.Created) })
		}
		matching := slices.DeleteFunc(all, func(s *secret) bool { return !c.matches(s, filters) })
		rows := make([]reply, 0, size)
		for _, s := range page(matching, number, size) {
			rows = append(rows, s.row(fetchTags))
		}
		return reply{
			"PageNumber": number, "PageSize": size, "TotalCount": len(matching), "SecretList": reply{"Secret": rows},
		}, nil
	}
}

// filterFields are what a secret has to match a filter with, by its key.
var filterFields = map[string]func(*secret) []string{
	"SecretName":     func(s *secret) []string { return []string{s.Name} },
	"Description":    func(s *secret) []string { return []string{s.Description} },
	"TagKey":         func(s *secret) []string { return slices.Collect(maps.Keys(s.Tags)) },
	"TagValue":       func(s *secret) []string { return slices.Collect(maps.Values(s.Tags)) },
	"DKMSInstanceId": func(s *secret) []string { return []string{s.Instance} },
	"SecretType":     func(s *secret) []string { return []string{s.Type} },
	"Creator":        func(s *secret) []string { return []string{s.Account} },
}

func (c *call) matches(s *secret, filters []filter) bool {
	hits := 0
	for _, f := range filters {
		if c.hits(filterFields[f.Key](s), f) {
			hits++
		}
	}
	if c.switches.FiltersOr && len(filters) > 0 {
		return hits > 0
	}
	return hits == len(filters)
}

func (c *call) hits(fields []string, f filter) bool {
	parts := c.switches.FilterContains && (f.Key == "SecretName" || f.Key == "Description")
	return len(f.Values) == 0 || slices.ContainsFunc(fields, func(field string) bool {
		return slices.ContainsFunc(f.Values, func(value string) bool {
			return field == value || f.Key == "SecretType" && strings.EqualFold(field, value) || parts && strings.Contains(field, value)
		})
	})
}
