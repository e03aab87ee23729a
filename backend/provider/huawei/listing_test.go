// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package huawei_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	emulated "github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/huawei"
)

// numbered returns that many versions and their ids.
func numbered(n int) (versions []emulator.Version, ids []string) {
	for i := 1; i <= n; i++ {
		id := fmt.Sprintf("v%d", i)
		versions = append(versions, emulator.Version{ID: id, Text: "x"})
		ids = append(ids, id)
	}
	return versions, ids
}

func TestVersionsOfManyPagesAreListedOnceAndInOrder(t *testing.T) {
	for name, switches := range map[string]emulated.Switches{
		"with a marker after the last page": {},
		"without one, and descending":       {EndMarkerEmpty: true, ListsDescending: true},
	} {
		for _, count := range []int{0, 1, 49, 50, 51, 100, 101} {
			t.Run(fmt.Sprintf("%s, %d", name, count), func(t *testing.T) {
				server, d := emulate(t, switches)
				versions, want := numbered(count)
				seed(t, server, emulator.Secret{Ref: emulator.Ref{Name: "many"}, Versions: versions})
				got, err := d.Versions(t.Context(), "many")
				if err != nil {
					t.Fatal(err)
				}
				var ids []string
				for _, v := range got {
					ids = append(ids, v.ID)
				}
				if !slices.Equal(ids, want) {
					t.Errorf("listed are %v", ids)
				}
				if count > 1 && (!slices.Equal(got[count-1].Labels, []string{"SYSCURRENT"}) || !slices.Equal(got[count-2].Labels, []string{"SYSPREVIOUS"})) {
					t.Errorf("the last ones have the labels %v and %v", got[count-2].Labels, got[count-1].Labels)
				}
			})
		}
	}
}

func TestListingsEnd(t *testing.T) {
	page := func(rows, info string) map[string]reply {
		return map[string]reply{
			"ListSecretVersions": {body: `{"version_metadatas":[` + rows + `]` + info + `}`},
			"ListSecrets":        {body: `{"secrets":[` + strings.ReplaceAll(rows, "id", "name") + `]` + info + `}`},
		}
	}
	for name, c := range map[string]struct {
		answers map[string]reply
		calls   int
	}{
		"without page_info":              {page(`{"id":"v1"}`, ``), 1},
		"with an empty marker":           {page(`{"id":"v1"}`, `,"page_info":{"next_marker":""}`), 1},
		"with the marker that was sent":  {page(`{"id":"v1"}`, `,"page_info":{"next_marker":"v1"}`), 2},
		"with an empty page":             {page(``, `,"page_info":{"next_marker":"v9"}`), 1},
		"with a page that was there yet": {page(`{"id":"v1"},{"id":"v2"}`, `,"page_info":{"next_marker":"v1"}`), 2},
	} {
		t.Run(name, func(t *testing.T) {
			cloud := &stub{answers: c.answers}
			d := opened(t, cloud)
			if _, err := d.Versions(t.Context(), "app-db"); err != nil || len(cloud.asked) != c.calls {
				t.Errorf("%d calls, error %v", len(cloud.asked), err)
			}
			pages := 1
			_, next, err := d.List(t.Context(), "")
			for ; err == nil && next != "" && pages <= c.calls; pages++ {
				_, next, err = d.List(t.Context(), next)
			}
			if err != nil || pages != c.calls {
				t.Errorf("%d pages of the inventory, error %v", pages, err)
			}
		})
	}
}

func TestAListingOfVersionsEndsWhenPagesComeAgain(t *testing.T) {
	cloud := &stub{answers: map[string]reply{}}
	d := opened(t, roundTripper(func(r *http.Request) (*http.Response, error) {
		next := "v1"
		if r.URL.Query().Get("marker") == next {
			next = "v2"
		}
		cloud.answers[""] = reply{body: `{"version_metadatas":[{"id":"` + next + `"}],"page_info":{"next_marker":"` + next + `"}}`}
		if len(cloud.asked) > 3 {
			return nil, errors.New("it goes on and on")
		}
		return cloud.RoundTrip(r)
	}))
	if versions, err := d.Versions(t.Context(), "app-db"); err != nil || len(versions) != 2 {
		t.Errorf("versions %+v, error %v", versions, err)
	}
}

func TestInventoryHasEveryTypeAndState(t *testing.T) {
	server, d := emulate(t, emulated.Switches{})
	want := []string{"app-db enabled COMMON"}
	add := func(name, state, kind, shown string) {
		s := emulator.Secret{Ref: emulator.Ref{Name: name}, State: state, Type: kind}
		if state == "PENDING_DELETE" {
			s.DeletionTime = time.Now().Add(time.Hour)
		}
		seed(t, server, s)
		want = append(want, name+" "+shown)
	}
	add("disabled", "DISABLED", "", "disabled COMMON")
	add("frozen", "FROZEN", "", "other COMMON")
	add("going", "PENDING_DELETE", "", "pending_deletion COMMON")
	add("legacy", "ENABLED", "RDS", "enabled RDS managed")
	add("gauss", "ENABLED", "GaussDB-FG", "enabled GaussDB-FG managed")
	add("old.name", "ENABLED", "", "enabled COMMON")
	for i := range 100 {
		add(fmt.Sprintf("s%d", i), "ENABLED", "", "enabled COMMON")
	}
	var got []string
	for token, more := "", true; more; more = token != "" {
		rows, next, err := d.List(t.Context(), token)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range rows {
			text := fmt.Sprintf("%s %s %s", s.Name, s.State, s.Type)
			if s.CloudManaged {
				text += " managed"
			}
			got = append(got, text)
		}
		token = next
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("listed are %v, want %v", got, want)
	}
}

func TestTimesAreMilliseconds(t *testing.T) {
	d := opened(t, always(reply{body: `{"secret":{"state":"PENDING_DELETE","create_time":1767323045678,"scheduled_delete_time":1767927845000}}`}))
	s, err := d.Describe(t.Context(), "app-db")
	if err != nil || !s.CreatedTime.Equal(time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC)) || !s.DeletionTime.Equal(time.Date(2026, 1, 9, 3, 4, 5, 0, time.UTC)) {
		t.Errorf("%v, %v, %v", s.CreatedTime, s.DeletionTime, err)
	}
	// Some of the documentation's examples have a time where there is none.
	d = opened(t, always(reply{body: `{"secret":{"state":"ENABLED","scheduled_delete_time":1767927845000}}`}))
	if s, err := d.Describe(t.Context(), "app-db"); err != nil || !s.DeletionTime.IsZero() {
		t.Errorf("deletion at %v, %v", s.DeletionTime, err)
	}
}
