// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package owner_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/owner"
)

const mount = "4f1c9e70-0a3e-4d5b-9d2f-6f3f1c2b7a10"

// names are secrets' names that are hard to write between brackets.
func names() map[string]string {
	return map[string]string{
		"plain":            "team-a/db",
		"brackets":         "a[b]c]",
		"a whole mark":     "x [vault-cloudsync mount=m secret=s]",
		"spaces":           " a  b ",
		"percent":          "100%/a%20b%",
		"unicode":          "团队/密码-ключ",
		"control":          "a\x00b\nc\x7f\t",
		"equals":           "a secret=b mount=c",
		"imitates a hash":  "sha256:0123",
		"invalid UTF-8":    "a\xff\xfe",
		"128 bytes":        strings.Repeat("a", 128),
		"129 bytes":        strings.Repeat("a", 129),
		"512 bytes":        strings.Repeat("x", 512),
		"43 spaces":        strings.Repeat(" ", 43), // 129 bytes when escaped
		"512 bytes of CJK": strings.Repeat("团", 170) + "ab",
	}
}

func TestAMarkIsReadBack(t *testing.T) {
	for what, name := range names() {
		for _, text := range []string{"", "text", "text ", " ", "two\nlines", "[brackets]", "ends with ]"} {
			mark := owner.For(mount, name)
			gotText, got := owner.Split(mark.Append(text))
			if gotText != text || got != mark {
				t.Errorf("%s after %q: %q, %+v", what, text, gotText, got)
			}
		}
	}
}

func TestAMarkTellsTheName(t *testing.T) {
	for what, name := range names() {
		mark := owner.For(mount, name)
		hashed := strings.HasPrefix(mark.Secret, "sha256:")
		if wantHash := strings.HasPrefix(what, "129") || strings.HasPrefix(what, "512") || strings.HasPrefix(what, "43") || what == "imitates a hash"; hashed != wantHash {
			t.Errorf("%s: the mark has %q", what, mark.Secret)
		}
		if !hashed && mark.SecretName() != name {
			t.Errorf("%s: the mark tells %q", what, mark.SecretName())
		}
	}
}

func TestTwoSecretsNeverShareAMark(t *testing.T) {
	seen := map[owner.Mark]string{}
	all := names()
	all["escaped already"] = "a%5Bb%5Dc%5D"
	all["another 512 bytes"] = strings.Repeat("x", 511) + "y"
	all["the hash of 512 bytes"] = owner.For(mount, all["512 bytes"]).Secret
	for what, name := range all {
		if other, taken := seen[owner.For(mount, name)]; taken {
			t.Errorf("%s has the mark of %s", what, other)
		}
		seen[owner.For(mount, name)] = what
	}
	if owner.For("m", "s") == owner.For("n", "s") {
		t.Error("two mounts share a mark")
	}
}

func TestWhatIsNoMark(t *testing.T) {
	for what, description := range map[string]string{
		"nothing":                   "",
		"text":                      "somebody's secret",
		"text after the mark":       "[vault-cloudsync mount=m secret=s] and more",
		"a space after the mark":    "[vault-cloudsync mount=m secret=s] ",
		"a bracket after the mark":  "[vault-cloudsync mount=m secret=s]]",
		"no mount":                  "[vault-cloudsync mount= secret=s]",
		"no secret":                 "[vault-cloudsync mount=m secret=]",
		"no secret at all":          "[vault-cloudsync mount=m]",
		"no closing":                "[vault-cloudsync mount=m secret=s",
		"no closing but earlier":    "a] [vault-cloudsync mount=m secret=team",
		"no opening":                "vault-cloudsync mount=m secret=s]",
		"brackets in the mount":     "[vault-cloudsync mount=[m] secret=s]",
		"brackets in the secret":    "[vault-cloudsync mount=m secret=a[b]]",
		"another word":              "[vault-cloudsyncs mount=m secret=s]",
		"the opening alone":         "[vault-cloudsync mount=",
		"opening and closing alone": "[vault-cloudsync mount=]",
		"a mark before a broken one": "[vault-cloudsync mount=m secret=s] " +
			"[vault-cloudsync mount=]",
	} {
		if text, mark := owner.Split(description); text != description || !mark.IsZero() {
			t.Errorf("%s: %q, %+v", what, text, mark)
		}
	}
}

func TestOnlyTheLastMarkCounts(t *testing.T) {
	mine, theirs := owner.For("mine", "s"), owner.For("theirs", "s")
	text, mark := owner.Split(mine.Append(theirs.Append("text")))
	if mark != mine || text != theirs.Append("text") {
		t.Errorf("%q, %+v", text, mark)
	}
	if _, mark := owner.Split(theirs.Append(mine.Append("text"))); mark != theirs {
		t.Errorf("a mark of another mount after ours is read as %+v", mark)
	}
}

func TestTheFormOfTheMark(t *testing.T) {
	// It is stored at clouds, so other forms must stay readable.
	const want = "text [vault-cloudsync mount=m secret=a%20%5Bb%5D/%25c]"
	if got := owner.For("m", "a [b]/%c").Append("text"); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	const hashed = "[vault-cloudsync mount=m secret=sha256:64164443bb63e338ef1cfdb12a57117c]"
	if got := owner.For("m", strings.Repeat("x", 512)).Append(""); got != hashed {
		t.Errorf("%s, want %s", got, hashed)
	}
}

func TestAMarkIsShort(t *testing.T) {
	// Clouds allow 2048 bytes of description or less; people want most of it.
	const longest = 220
	for what, name := range names() {
		if got := owner.For(mount, name).Append(""); len(got) > longest {
			t.Errorf("%s: %d bytes", what, len(got))
		}
	}
}

func TestAMarkInWords(t *testing.T) {
	for _, c := range []struct {
		mark owner.Mark
		want string
	}{
		{owner.Mark{}, "nobody"},
		{owner.For("m", "a [b]"), "mount m, secret a [b]"},
		{owner.Mark{Mount: "m", Secret: "100%"}, "mount m, secret 100%"}, // somebody else's escapes
	} {
		if got := c.mark.String(); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

func FuzzMark(f *testing.F) {
	for _, name := range names() {
		f.Add("text", name)
		f.Add(name, "a")
	}
	f.Fuzz(func(t *testing.T, text, name string) {
		if name == "" {
			return
		}
		mark := owner.For(mount, name)
		marked := mark.Append(text)
		gotText, got := owner.Split(marked)
		if got != mark || gotText != text {
			t.Errorf("%q and %q became %q and %+v", text, name, gotText, got)
		}
		if !strings.HasPrefix(marked, text) || len(marked) > len(text)+220 {
			t.Errorf("%q became %q", text, marked)
		}
		if utf8.ValidString(name) && utf8.ValidString(text) && !utf8.ValidString(marked) {
			t.Errorf("%q is no text", marked)
		}
		if !strings.HasPrefix(mark.Secret, "sha256:") && mark.SecretName() != name {
			t.Errorf("%q tells %q", name, mark.SecretName())
		}
		// Whatever is read as a mark can be taken off and put on again.
		rest, found := owner.Split(text)
		if !found.IsZero() && found.Append(rest) != text && found.Append(rest) != " "+text {
			t.Errorf("%q is read as %q and %+v", text, rest, found)
		}
	})
}
