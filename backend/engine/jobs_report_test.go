// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
)

func TestAPageOfAReportFitsAnEntryOfStorage(t *testing.T) {
	storage, items := &logical.InmemStorage{}, make([]JobItem, 2*jobPageItems)
	for i := range items {
		items[i] = JobItem{Subject: fmt.Sprint(i), Message: strings.Repeat("it is said at length, ", 1000), Details: map[string]any{}}
		for key := range 1000 {
			items[i].Details[fmt.Sprintf("memory/main, key %04d", key)] = map[string]any{"result": "drifted", "calls": 3}
		}
	}
	if err := appendReport(context.Background(), storage, "verify-1", 0, items); err != nil {
		t.Fatal(err)
	}
	keys, err := logical.CollectKeys(context.Background(), storage)
	if err != nil || len(keys) != 2 {
		t.Fatalf("storage has %v: %v", keys, err)
	}
	for _, key := range keys {
		// The smallest limit of Vault's storage is Consul's.
		if entry, err := storage.Get(context.Background(), key); err != nil || len(entry.Value) > 512<<10 {
			t.Errorf("a page has %d bytes: %v", len(entry.Value), err)
		}
	}
	report, err := jobReports.Get(context.Background(), storage, jobPageID("verify-1", 0))
	if err != nil {
		t.Fatal(err)
	}
	details := report.Items[0].Details
	if details["left_out"] == nil || details["memory/main, key 0000"] == nil {
		t.Errorf("of the details are left %v", details)
	}
}

func TestAJobIsRefusedThatIsAskedForAtLength(t *testing.T) {
	_, err := new(Engine).StartJob(context.Background(), jobVerify, VerifyMany{Match: make([]string, 1<<16)}, JobAuthor{})
	var refusal *RefusedError
	if !errors.As(err, &refusal) || !strings.Contains(refusal.message, "fewer globs") {
		t.Errorf("it says %v", err)
	}
}
