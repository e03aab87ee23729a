// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"cloud-read": main})
}

func TestWhatPeopleSee(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script"})
}
