// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package alibaba_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	emulated "github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/alibaba"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/emulatortest"
)

// Times are whole seconds, and the service's order isn't documented.
func TestVersionsOfOneSecondAreInOrderOfTheirNumbers(t *testing.T) {
	row := func(id string, second int) string {
		return fmt.Sprintf(`{"VersionId":%q,"CreateTime":"2026-01-02T03:04:%02dZ","VersionStages":{"VersionStage":[]}}`, id, second)
	}
	ascending := []string{row("v8", 1), row("v9", 1), row("v10", 1), row("v1", 2)}
	descending := slices.Clone(ascending)
	slices.Reverse(descending)
	for _, rows := range [][]string{ascending, descending} {
		answer := `{"RequestId":"r","VersionIds":{"VersionId":[` + strings.Join(rows, ",") + `]}}`
		versions, err := opened(t, &stub{answers: map[string]string{"": answer}}).Versions(t.Context(), "app/db")
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, v := range versions {
			ids = append(ids, v.ID)
		}
		if !slices.Equal(ids, []string{"v8", "v9", "v10", "v1"}) {
			t.Errorf("order %v", ids)
		}
	}
}

func TestVersionsAreListedOverPageBorders(t *testing.T) {
	for _, n := range []int{49, 50, 51, 120} {
		server, d := emulate(t, emulated.Switches{NewestFirst: true})
		long := emulator.Secret{Type: "Rds", Ref: emulator.Ref{Name: "long"}}
		for i := range n {
			long.Versions = append(long.Versions, emulator.Version{ID: fmt.Sprintf("v%03d", i), Text: "x"})
		}
		seed(t, server, long)
		versions, err := d.Versions(t.Context(), "long")
		if err != nil || len(versions) != n || versions[0].ID != "v000" || versions[n-1].ID != fmt.Sprintf("v%03d", n-1) {
			t.Errorf("%d versions of %d, %v", len(versions), n, err)
		}
	}
}

// A page may be shorter than was asked for, and one that tells nothing new ends
// the listing.
func TestListingVersionsEnds(t *testing.T) {
	row := func(id string) string { return fmt.Sprintf(`{"VersionId":%q,"CreateTime":"2026-01-02T03:04:05Z"}`, id) }
	short := func(rows ...string) string {
		return `{"RequestId":"r","TotalCount":3,"VersionIds":{"VersionId":[` + strings.Join(rows, ",") + `]}}`
	}
	for name, c := range map[string]struct {
		pages []string // the last comes again and again
		want  int
	}{
		"short pages are followed by others":  {[]string{short(row("a"), row("b")), short(row("c"))}, 3},
		"what moves to the next page is once": {[]string{short(row("a"), row("b")), short(row("b"), row("c"))}, 3},
		"a page that comes again is the last": {[]string{short(row("a"), row("b"))}, 2},
		"an empty page is the last":           {[]string{short(row("a")), short()}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			cloud, page := &stub{answers: map[string]string{}}, 0
			d := opened(t, roundTripper(func(r *http.Request) (*http.Response, error) {
				cloud.answers[""] = c.pages[min(page, len(c.pages)-1)]
				page++
				return cloud.RoundTrip(r)
			}))
			versions, err := d.Versions(t.Context(), "app/db")
			if err != nil || len(versions) != c.want || page != 2 {
				t.Errorf("versions %v after %d pages, %v", versions, page, err)
			}
		})
	}
}

func TestTimes(t *testing.T) {
	want := time.Date(2021, 4, 1, 10, 11, 12, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"2021-04-01T10:11:12Z":                want,
		"2021-04-01T10:11:12.123456789Z":      want.Add(123456789),
		"2021-04-01T18:11:12.000000000+08:00": want,
		"soon":                                {},
	} {
		answer := fmt.Sprintf(`{"RequestId":"r","SecretName":"app/db","SecretType":"Generic","CreateTime":%[1]q,"PlannedDeleteTime":%[1]q}`, text)
		got, err := opened(t, &stub{answers: map[string]string{"": answer}}).Describe(t.Context(), "app/db")
		if err != nil || got.State != provider.StatePendingDeletion || !got.DeletionTime.Equal(want) || !got.CreatedTime.Equal(want) {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
}

func TestListing(t *testing.T) {
	for _, n := range []int{0, 99, 100, 101, 250} {
		t.Run(fmt.Sprintf("%d secrets", n), func(t *testing.T) {
			server, endpoint := emulatortest.Alibaba(t, emulated.Options{})
			d := openedAs(t, config(t, endpoint))
			for i := range n {
				kind := []string{"", "Rds", "ECS"}[i%3]
				seed(t, server, emulator.Secret{Type: kind, Ref: emulator.Ref{Name: fmt.Sprintf("s%d", i)}, Versions: []emulator.Version{{ID: "a", Text: "x"}}})
			}
			seen := map[string]bool{}
			for token, more := "", true; more; more = token != "" {
				rows, next, err := d.List(t.Context(), token)
				if err != nil {
					t.Fatal(err)
				}
				for _, s := range rows {
					seen[s.Name] = true
					if s.CloudManaged != (s.Type != "Generic") {
						t.Errorf("listed is %+v", s)
					}
				}
				token = next
			}
			if len(seen) != n {
				t.Errorf("%d listed of %d", len(seen), n)
			}
		})
	}
	for _, token := range []string{"x", "0", "-1", "1.5", "99999999999"} {
		t.Run("a token that no listing returned is refused: "+token, func(t *testing.T) {
			if _, _, err := opened(t, &stub{}).List(t.Context(), token); provider.ClassOf(err) != provider.ClassInvalid {
				t.Errorf("error %v", err)
			}
		})
	}
}
