// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package alibaba

import (
	"crypto/rand"
	"math/big"
	"strings"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

// characterClasses are what passwords are made of, by the parameter that
// excludes them.
var characterClasses = []struct{ parameter, characters string }{
	{"ExcludeLowercase", "abcdefghijklmnopqrstuvwxyz"},
	{"ExcludeUppercase", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"},
	{"ExcludeNumbers", "0123456789"},
	{"ExcludePunctuation", "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"},
}

func getRandomPassword(_ *call, r *reader) work {
	length := r.number("PasswordLength", 8, 128, 32)
	each := r.flag("RequireEachIncludedType", true) // the default isn't documented
	var classes []string
	for _, class := range characterClasses {
		left := strings.Map(func(c rune) rune {
			if strings.ContainsRune(r.parameters["ExcludeCharacters"], c) {
				return -1
			}
			return c
		}, class.characters)
		if !r.flag(class.parameter, false) && left != "" {
			classes = append(classes, left)
		}
	}
	r.check("ExcludeCharacters", len(classes) > 0)
	return func() (reply, *emulator.Failure) {
		return reply{"RandomPassword": password(length, classes, each)}, nil
	}
}

// password draws characters, of each class at least one if each is set.
func password(length int, classes []string, each bool) string {
	all := strings.Join(classes, "")
	drawn := make([]byte, 0, length)
	if each {
		for _, class := range classes {
			drawn = append(drawn, class[below(len(class))])
		}
	}
	for len(drawn) < length {
		drawn = append(drawn, all[below(len(all))])
	}
	for i := len(drawn) - 1; i > 0; i-- {
		j := below(i + 1)
		drawn[i], drawn[j] = drawn[j], drawn[i]
	}
	return string(drawn)
}

// below draws a number from 0 to n-1.
func below(n int) int {
	drawn, _ := rand.Int(rand.Reader, big.NewInt(int64(n))) // never fails
	return int(drawn.Int64())
}
