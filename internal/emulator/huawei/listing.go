// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package huawei

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

func showSecret(c *call) (any, *emulator.Failure) {
	found, failure := c.secret()
	if failure != nil {
		return nil, failure
	}
	return c.showing(found), nil
}

func (c *call) showing(s *secret) object { return object{"secret": c.view(s)} }

// view is a secret in answers, which never have a value or tags.
func (c *call) view(s *secret) object {
	subscriptions := s.Events
	if subscriptions == nil {
		subscriptions = []string{}
	}
	view := object{
		"id": s.ID, "name": s.Name, "state": s.State, "kms_key_id": cmp.Or(s.KMSKeyID, defaultKeyID(s.Project)),
		"description": s.Description, "create_time": c.milliseconds(s.Created), "update_time": c.milliseconds(s.Updated),
		"scheduled_delete_time": c.orNull(s.DeleteAt), "secret_type": s.Type,
		"event_subscriptions": subscriptions, "enterprise_project_id": s.EnterpriseProject,
	}
	c.showRotation(view, s.Rotation)
	return view
}

// metadata is a version in answers.
func (c *call) metadata(s *secret, v version) object {
	return object{
		"id": versionID(v.Number), "create_time": c.milliseconds(v.Created), "expire_time": c.orNull(v.Expires),
		"kms_key_id": cmp.Or(v.KMSKeyID, defaultKeyID(s.Project)), "secret_name": s.Name, "version_stages": s.stagesOf(v.Number),
	}
}

func (c *call) milliseconds(t time.Time) int64 {
	if c.switches.Milliseconds {
		return t.UnixMilli()
	}
	return t.Unix() * 1000
}

func (c *call) orNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return c.milliseconds(t)
}

func listSecrets(c *call) (any, *emulator.Failure) {
	limit, failure := c.limit()
	if failure != nil {
		return nil, failure
	}
	query := c.HTTP.URL.Query()
	var rows []row
	for _, s := range c.server.secrets.ListLocked(c.Account.AccountID, c.Region, c.now) {
		s = c.server.present(s, c.now)
		if event := query.Get("event_name"); event == "" || slices.Contains(s.Events, event) {
			rows = append(rows, row{s.Name, c.view(s)})
		}
	}
	return c.page("secrets", rows, strings.Compare, bounds{query.Get("marker"), limit}), nil
}

func listVersions(c *call) (any, *emulator.Failure) {
	found, failure := c.secret()
	if failure != nil {
		return nil, failure
	}
	limit, failure := c.limit()
	if failure != nil {
		return nil, failure
	}
	marker := c.HTTP.URL.Query().Get("marker")
	if marker == latestVersion {
		current, _ := c.latest(found)
		marker = versionID(current)
	}
	if _, ok := versionNumber(marker); !ok && marker != "" {
		return nil, invalid("marker is a version id")
	}
	var rows []row
	for _, v := range found.Versions {
		rows = append(rows, row{versionID(v.Number), c.metadata(found, v)})
	}
	return c.page("version_metadatas", rows, byNumber, bounds{marker, limit}), nil
}

func byNumber(a, b string) int {
	first, _ := versionNumber(a)
	second, _ := versionNumber(b)
	return cmp.Compare(first, second)
}

func (c *call) limit() (int, *emulator.Failure) {
	query := c.HTTP.URL.Query()
	if !query.Has("limit") {
		return defaultPage, nil
	}
	limit, err := strconv.Atoi(query.Get("limit"))
	if err != nil || limit < 1 || limit > maxPage {
		return 0, invalid("limit must lie between 1 and 1000")
	}
	return limit, nil
}

// row is one item of a list, with what markers call it.
type row struct {
	id   string
	view object
}

// bounds are what a call says about the page that it wants.
type bounds struct {
	marker string // the last item of the page before, "" for the first page
	limit  int
}

// page makes a list's answer: the items that come after the marker.
func (c *call) page(list string, rows []row, order func(a, b string) int, b bounds) object {
	if c.switches.ListsDescending {
		ascending := order
		order = func(a, b string) int { return ascending(b, a) }
	}
	slices.SortFunc(rows, func(a, b row) int { return order(a.id, b.id) })
	if b.marker != "" {
		rows = slices.DeleteFunc(rows, func(r row) bool { return order(r.id, b.marker) <= 0 })
	}
	count := min(b.limit, len(rows))
	last := count == len(rows)
	items, first, next := make([]object, count), "", ""
	for i, r := range rows[:count] {
		items[i], first, next = r.view, cmp.Or(first, r.id), r.id
	}
	if last && c.switches.EndMarkerEmpty {
		next = ""
	}
	return object{list: items, "page_info": object{"next_marker": next, "previous_marker": first, "current_count": len(items)}}
}
