// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package rule_test

import "testing"

func BenchmarkFor(b *testing.B) {
	rules, secrets := many()
	s := newSet(b, rules...)
	for name, lookup := range map[string]func(string){
		"for":     func(secret string) { s.For(secret) },
		"resolve": func(secret string) { _, _ = s.Resolve(secret) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				lookup(secrets[i%len(secrets)])
				i++
			}
		})
	}
}

func BenchmarkSave(b *testing.B) {
	rules, _ := many()
	s := newSet(b, rules...)
	b.Run("check", func(b *testing.B) {
		for b.Loop() {
			_ = s.Check(rules[42])
		}
	})
	b.Run("compile", func(b *testing.B) {
		for b.Loop() {
			newSet(b, rules...)
		}
	})
}
