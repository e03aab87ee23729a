// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package alibaba

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/services/kms"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/sensitive"
)

// loginPart is one part of a login by the API's name and by the common one.
type loginPart struct{ api, common string }

// The forms of logins.
var (
	accountLogin = []loginPart{{"AccountName", "username"}, {"AccountPassword", "password"}}
	keyLogin     = []loginPart{{"AccessKeyId", "access_key_id"}, {"AccessKeySecret", "access_key_secret"}}
	serverLogin  = []loginPart{{"UserName", "username"}, {"Password", "password"}}
	sshLogin     = []loginPart{{"UserName", "username"}, {"PublicKey", "public_key"}, {"PrivateKey", "private_key"}}
)

// initial is what SecretData of a new credential holds.
type initial struct {
	parts []loginPart
	list  string // member with a list of logins, "" where it is one by itself
	most  int
}

func initialOf(product, subType string) initial {
	switch {
	case product == productRAM:
		return initial{keyLogin, "AccessKeys", 2}
	case subType == subSSHKey:
		return initial{sshLogin, "", 1}
	case product == productECS:
		return initial{serverLogin, "", 1}
	case subType == subDoubleUsers:
		return initial{accountLogin, "Accounts", 2}
	}
	return initial{accountLogin, "Accounts", 1}
}

// initialLogins are the present credentials in the API's form. They are given as
// one object, a list of them, or as the API has it, with the API's names of the
// parts or the common ones. The error quotes nothing of them.
func initialLogins(product string, n provider.NewCredential) (string, error) {
	form := initialOf(product, n.Parameters[fieldSubType])
	raw := []byte(n.Initial.Reveal())
	var wrapped map[string]json.RawMessage
	if json.Unmarshal(raw, &wrapped) == nil && form.list != "" && wrapped[form.list] != nil {
		if len(wrapped) > 1 {
			return "", form.fault()
		}
		raw = wrapped[form.list]
	}
	var given []map[string]string
	if json.Unmarshal(raw, &given) != nil {
		var one map[string]string
		if json.Unmarshal(raw, &one) != nil {
			return "", form.fault()
		}
		given = []map[string]string{one}
	}
	if len(given) == 0 || len(given) > form.most {
		return "", form.fault()
	}
	logins := make([]map[string]string, 0, len(given))
	for _, entry := range given {
		login := map[string]string{}
		for _, part := range form.parts {
			login[part.api] = entry[part.api] + entry[part.common]
			if entry[part.api] != "" && entry[part.common] != "" || login[part.api] == "" {
				return "", form.fault()
			}
		}
		if len(entry) != len(form.parts) {
			return "", form.fault()
		}
		logins = append(logins, login)
	}
	var value any = logins[0]
	if form.list != "" {
		value = map[string]any{form.list: logins}
	}
	encoded, err := json.Marshal(value)
	switch {
	case err != nil:
		return "", form.fault()
	case len(encoded) > maxData:
		return "", fmt.Errorf("initial_credentials have %d bytes, the limit is %d", len(encoded), maxData)
	}
	return string(encoded), nil
}

// fault says which form the present credentials have to have.
func (f initial) fault() error {
	names := make([]string, 0, len(f.parts))
	for _, part := range f.parts {
		names = append(names, part.common)
	}
	form := "a JSON object with exactly " + strings.Join(names, ", ")
	if f.most > 1 {
		form += fmt.Sprintf(", or a list of up to %d of them", f.most)
	}
	return errors.New("initial_credentials have to be " + form + ", each a text that isn't empty")
}

// openParts are the parts of logins that an error may quote, since it has to say what
// it is about.
var openParts = []string{"AccountName", "UserName", "AccessKeyId"}

// initialSecrets is what no error about a creation may quote: the logins as they
// were given and as they are sent, and each part by itself. The names of parts, and
// what is open, are blotted out in the former, lest every text with such a word
// were taken for a quotation.
func initialSecrets(n provider.NewCredential, data string) []provider.Value {
	var words []string
	for _, form := range [][]loginPart{accountLogin, keyLogin, serverLogin, sshLogin} {
		for _, part := range form {
			words = append(words, part.api, part.common)
		}
	}
	words = append(words, "AccessKeys", "Accounts")
	var secrets []provider.Value
	var visit func(part string, value any)
	visit = func(part string, value any) {
		switch value := value.(type) {
		case string:
			if slices.Contains(openParts, part) {
				words = append(words, value)
			} else {
				secrets = append(secrets, provider.Text(value))
			}
		case []any:
			for _, item := range value {
				visit(part, item)
			}
		case map[string]any:
			for member, item := range value {
				visit(member, item)
			}
		}
	}
	var parsed any
	if json.Unmarshal([]byte(data), &parsed) == nil {
		visit("", parsed)
	}
	for _, text := range []string{n.Initial.Reveal(), data} {
		for _, word := range words {
			text = strings.ReplaceAll(text, word, blotted(word))
		}
		secrets = append(secrets, provider.Text(text))
	}
	return secrets
}

// blotted is a word of which three characters are left at each end.
func blotted(word string) string {
	const left = 3
	if len(word) <= 2*left {
		return word
	}
	return word[:left] + strings.Repeat("\x00", len(word)-2*left) + word[len(word)-left:]
}

// credentialFields are the parts of a value by common names; none if it isn't a
// login.
func credentialFields(product, data string) map[string]sensitive.String {
	var login map[string]any
	if json.Unmarshal([]byte(data), &login) != nil {
		return nil
	}
	forms := [][]loginPart{accountLogin}
	switch product {
	case productRAM:
		forms = [][]loginPart{keyLogin}
	case productECS:
		forms = [][]loginPart{serverLogin, sshLogin}
	}
	fields := map[string]sensitive.String{}
	for _, form := range forms {
		for _, part := range form {
			if text, _ := login[part.api].(string); text != "" {
				fields[part.common] = sensitive.NewString(text)
			}
		}
	}
	if len(fields) < 2 {
		return nil // a name without what goes with it
	}
	return fields
}

// valueTime is when the current value was made. CreateTime of a value is that of
// the secret, so it counts only for one that was never rotated.
func valueTime(answer *kms.GetSecretValueResponse) time.Time {
	var login struct{ GenerateTimestamp string }
	if json.Unmarshal([]byte(answer.SecretData), &login) == nil && login.GenerateTimestamp != "" {
		return parseTime(login.GenerateTimestamp)
	}
	if answer.LastRotationDate != "" {
		return parseTime(answer.LastRotationDate)
	}
	return parseTime(answer.CreateTime)
}
