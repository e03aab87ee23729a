// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package harness

import (
	"slices"
	"testing"
	"time"
)

func TestTermsTellWhoCalledWhen(t *testing.T) {
	call := func(node string, begin, end int) EgressCall {
		return EgressCall{Node: node, Begin: time.Unix(int64(begin), 0), End: time.Unix(int64(end), 0)}
	}
	for _, test := range []struct {
		name          string
		first, second []EgressCall // of two clouds
		want          []string
		sound         bool
	}{
		{"nobody called", nil, nil, nil, true},
		{"one node, with calls at the same time", []EgressCall{call("a", 1, 5), call("a", 2, 3)}, nil, []string{"a"}, true},
		{
			"one after the other, and back",
			[]EgressCall{call("a", 1, 2), call("b", 4, 5)},
			[]EgressCall{call("a", 2, 3), call("a", 6, 7)},
			[]string{"a", "b", "a"},
			true,
		},
		{"a call of the old node goes on", []EgressCall{call("a", 1, 9), call("a", 2, 3)}, []EgressCall{call("b", 4, 5)}, []string{"a", "b"}, false},
		{"the old node begins another one", []EgressCall{call("a", 1, 2), call("b", 3, 6), call("a", 4, 5)}, nil, []string{"a", "b", "a"}, false},
		{"a caller that nobody knows", []EgressCall{call("", 1, 2)}, nil, nil, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := Terms(&Egress{calls: test.first}, &Egress{calls: test.second})
			if !slices.Equal(got, test.want) || (err == nil) != test.sound {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}
