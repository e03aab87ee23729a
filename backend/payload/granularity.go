// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package payload

import "fmt"

// Granularity says how many remote secrets a secret has at a destination.
type Granularity string

// The granularities.
const (
	PerSecret Granularity = "secret-path" // one for the whole secret
	PerKey    Granularity = "secret-key"  // one for each key of its data
)

// Granularities are all granularities.
func Granularities() []Granularity { return []Granularity{PerSecret, PerKey} }

// ParseGranularity reads a granularity; "" stays "".
func ParseGranularity(text string) (Granularity, error) {
	switch g := Granularity(text); g {
	case "", PerSecret, PerKey:
		return g, nil
	default:
		return "", fmt.Errorf("granularity %q is unknown, possible are secret-path and secret-key", text)
	}
}
