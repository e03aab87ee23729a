// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package emulator

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// kindsFor returns what strikes successive calls to one target.
func kindsFor(s *Faults, t Target, calls int) []string {
	var kinds []string
	for range calls {
		var struck []string
		for _, r := range s.strike(t) {
			struck = append(struck, string(r.Kind))
		}
		kinds = append(kinds, strings.Join(struck, "+"))
	}
	return kinds
}

func TestFaultsStrikeTheCallsThatTheyAreFor(t *testing.T) {
	t.Parallel()
	put := Target{Operation: "Put", Secret: "s"}
	delay := Fault{Kind: Delay, Duration: time.Second}
	tests := []struct {
		name   string
		faults []Fault
		target Target
		want   string // kinds for three successive calls
	}{
		{"without a count a fault strikes for ever", []Fault{{Kind: Drop}}, put, "drop,drop,drop"},
		{"a count bounds it", []Fault{{Kind: Drop, Count: 2}}, put, "drop,drop,"},
		{"calls can be skipped first", []Fault{{Kind: Drop, Skip: 1, Count: 1}}, put, ",drop,"},
		{"it strikes its operation", []Fault{{Kind: Drop, Operation: "Put"}}, put, "drop,drop,drop"},
		{"it spares other operations", []Fault{{Kind: Drop, Operation: "Get"}}, put, ",,"},
		{"it spares other secrets", []Fault{{Kind: Drop, Secret: "other"}}, put, ",,"},
		{"a delay comes before what ends the call", []Fault{delay, {Kind: Drop, Count: 1}}, put, "delay+drop,delay,delay"},
		{
			"of two that end a call the second waits for the next",
			[]Fault{{Kind: Drop, Count: 1}, {Kind: HTTP, Count: 1}},
			put, "drop,http,",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var s Faults
			for _, f := range test.faults {
				if _, err := s.Add(f); err != nil {
					t.Fatal(err)
				}
			}
			if got := strings.Join(kindsFor(&s, test.target, 3), ","); got != test.want {
				t.Errorf("struck %q, want %q", got, test.want)
			}
		})
	}
}

func TestWorkThatNobodyCalledIsStruckByFaultsThatNameIt(t *testing.T) {
	t.Parallel()
	var s Faults
	for _, f := range []Fault{
		{Kind: Drop},
		{Kind: Delay, Operation: "Rotation", Duration: time.Second},
		{Kind: Error, Operation: "Rotation", Secret: "s", Code: "Broken", Count: 1},
		{Kind: Hang, Operation: "Put"},
	} {
		if _, err := s.Add(f); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"[2 delay, 1 hits] [3 error, 1 hits] ", "[2 delay, 2 hits] "} {
		got := ""
		for _, r := range s.StrikeWork(Target{Operation: "Rotation", Secret: "s"}) {
			got += fmt.Sprintf("[%d %s, %d hits] ", r.ID, r.Fault.Kind, r.Hits)
		}
		if got != want {
			t.Errorf("the work is struck by %s, want %s", got, want)
		}
	}
	if rule, _ := s.Find(1); rule.Hits > 0 {
		t.Error("a fault for every call struck work")
	}
}

func TestNoCallIsCarriedOutWhileTheClockIsAhead(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	clock := NewClock(func() time.Time { return noon })
	clock.SetOffset(time.Minute)
	looked := false
	clock.Ahead(time.Hour, func() {
		looked = true
		if got := clock.Now().Sub(noon); got != time.Hour+time.Minute {
			t.Errorf("the clock is ahead by %s", got)
		}
		if clock.calls.TryRLock() {
			t.Error("a call could be carried out")
		}
	})
	if !looked || clock.Offset() != time.Minute || !clock.calls.TryRLock() {
		t.Errorf("afterwards the clock is ahead by %s, or calls aren't let in", clock.Offset())
	}
}

func TestAMalformedFaultIsRefused(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]Fault{
		"without a kind":        {},
		"an error without code": {Kind: Error},
		"an impossible status":  {Kind: HTTP, Status: 99},
		"a negative count":      {Kind: Drop, Count: -1},
		"a negative delay":      {Kind: Delay, Duration: -1},
		"a skew after the work": {Kind: Skew, AfterEffect: true},
	} {
		if _, err := new(Faults).Add(f); err == nil {
			t.Errorf("a fault %s was taken", name)
		}
	}
}

func TestAFaultIsTheSameAfterJSON(t *testing.T) {
	t.Parallel()
	want := Fault{Kind: Delay, Operation: "Put", Secret: "s", Skip: 1, Count: 2, AfterEffect: true, Duration: 90 * time.Second}
	encoded, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got Fault
	if err := json.Unmarshal(encoded, &got); err != nil || got != want {
		t.Errorf("%s became %+v (%v)", encoded, got, err)
	}
	if json.Unmarshal([]byte(`{"kind":"drop","opration":"Put"}`), &got) == nil {
		t.Error("a misspelt member was taken")
	}
}

func TestTheCallLogIsBoundedAndTheCountersAreNot(t *testing.T) {
	t.Parallel()
	var s Calls
	for i := range keptCalls + 5 {
		s.add(Call{Operation: "Get", RequestID: fmt.Sprint(i)})
	}
	list := s.List()
	if len(list) != keptCalls || list[0].RequestID != "5" || list[len(list)-1].RequestID != fmt.Sprint(keptCalls+4) {
		t.Errorf("%d calls are kept, from %s to %s", len(list), list[0].RequestID, list[len(list)-1].RequestID)
	}
	if s.Total() != keptCalls+5 || s.Count("Get") != keptCalls+5 {
		t.Errorf("counted %d, %d of Get", s.Total(), s.Count("Get"))
	}
	s.Reset()
	if s.Total() != 0 || len(s.List()) != 0 || s.Count("Get") != 0 {
		t.Error("calls are there after a reset")
	}
}

func TestFilesKeepDocumentsByKey(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new", "directory")
	files, err := OpenFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("long/", 100)
	for key, body := range map[string]string{"a": "1", "A": "2", long: "3", "gone": "4"} {
		if err := files.Put(key, body); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // deleting what is absent is success
		if err := files.Delete("gone"); err != nil {
			t.Fatal(err)
		}
	}
	if err := files.Put("a", "changed"); err != nil {
		t.Fatal(err)
	}
	// What a killed process leaves behind in the middle of a write is no document.
	if err := os.WriteFile(files.path("half")+partialSuffix, []byte(`{"ke`), 0o600); err != nil {
		t.Fatal(err)
	}
	got := make(map[string]string)
	err = files.Each(func(key string, body json.RawMessage) error {
		got[key] = string(body)
		return nil
	})
	want := map[string]string{"a": `"changed"`, "A": `"2"`, long: `"3"`}
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("read %v (%v), want %v", got, err, want)
	}
	if err := os.WriteFile(filepath.Join(dir, "foreign.json"), []byte("?"), 0o600); err != nil {
		t.Fatal(err)
	}
	if files.Each(func(string, json.RawMessage) error { return nil }) == nil {
		t.Error("a foreign file was taken for a document")
	}
}

func TestAnAccountNeverPrintsItsSecret(t *testing.T) {
	t.Parallel()
	a := Account{AccessKeyID: "id", AccessKeySecret: "canary-secret", SecurityToken: "canary-token"}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		for _, value := range []any{a, &a, []Account{a}} {
			if text := fmt.Sprintf(format, value); strings.Contains(text, "canary") {
				t.Errorf("%s prints %s", format, text)
			}
		}
	}
	for name, bad := range map[string]Account{
		"without an id": {AccessKeySecret: "x"}, "without a secret": {AccessKeyID: "x"},
		"of a named account": {AccessKeyID: "x", AccessKeySecret: "canary", AccountID: "me"},
	} {
		if _, err := NewAccounts(bad); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("a key %s gave %v", name, err)
		}
	}
}
