// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package huawei

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// The fields of a creation.
const (
	fieldSubType  = "secret_sub_type"
	fieldConfig   = "rotation_config"
	fieldFunction = "rotation_func_urn"
	fieldAgency   = "create_agency"
	fieldFormat   = "initial_format"
	fieldPlace    = "initial_field"
	fieldEvents   = "event_subscriptions"
)

// The values of fields.
const (
	singleUser = "SingleUser"
	multiUser  = "MultiUser"

	formatUsers = "users"
	formatAsIs  = "as_is"

	placeText   = "secret_string"
	placeBinary = "secret_binary"
)

var creationFields = []provider.CredentialField{
	{Name: fieldSubType, Type: provider.FieldString, Allowed: []string{singleUser, multiUser}, Description: "How it is rotated. SingleUser (default) " +
		"sets another password for the one account; MultiUser alternates between two accounts, so that what readers have goes on working until the next rotation."},
	{Name: fieldFunction, Type: provider.FieldString, Description: "URN of the function in FunctionGraph that rotates, " +
		"urn:fss:<region>:<project>:function:<package>:<name>:<version>. Nothing can be rotated without it. Make it from the template of ShowSecretFunctionTemplates."},
	{Name: fieldConfig, Type: provider.FieldJSON, Description: "The whole rotation_config, instead of the one made of instance_id and secret_sub_type: " +
		`{"InstanceId":"..","SecretSubType":".."}, at most 1024 characters.`},
	{Name: fieldAgency, Type: provider.FieldBool, Description: "Creates the agencies that rotations need before the credential, if the account doesn't have them yet."},
	{Name: fieldFormat, Type: provider.FieldString, Allowed: []string{formatUsers, formatAsIs}, Description: "How initial_credentials are sent: users (default) " +
		`as {"users":[{"name":"..","password":".."}]}, as the templates of functions have it; as_is unchanged, for a function that reads something else.`},
	{Name: fieldPlace, Type: provider.FieldString, Allowed: []string{placeText, placeBinary}, Description: "Where initial_credentials are sent: " +
		"secret_string (default) or secret_binary."},
	{Name: fieldEvents, Type: provider.FieldList, Description: "Name of the event that the credential is subscribed to, at most one."},
}

const (
	maxConfig = 1024 // characters
	maxEvents = 1
)

var (
	functionForm = regexp.MustCompile(`^urn:fss:[^:\s]+:[^:\s]+:function:[^:\s]+:[^:\s]+(:[^:\s]+)?$`)
	eventForm    = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)
)

// checkNew is provider.CredentialProduct.Check of both types.
func checkNew(c provider.NewCredential) error {
	config, err := newConfig(c)
	if err != nil {
		return err
	}
	function := c.Parameters[fieldFunction]
	switch {
	case function != "" && !functionForm.MatchString(function):
		return fmt.Errorf("%s isn't the URN of a function, urn:fss:<region>:<project>:function:<package>:<name>:<version>", fieldFunction)
	case function == "" && c.Rotation.Enabled:
		return fmt.Errorf("rotation by schedule needs %s, the function in FunctionGraph that sets the password", fieldFunction)
	}
	if _, err := events(c); err != nil {
		return err
	}
	value, _, err := initialValue(c, readConfig(config).subType)
	if err != nil {
		return err
	}
	return limits.CheckValue(value)
}

// newConfig is the rotation_config that is sent.
func newConfig(c provider.NewCredential) (string, error) {
	subType, raw := c.Parameters[fieldSubType], strings.TrimSpace(c.Parameters[fieldConfig])
	if raw == "" {
		encoded, err := json.Marshal(struct {
			InstanceID string `json:"InstanceId"`
			SubType    string `json:"SecretSubType"`
		}{c.InstanceID, cmp.Or(subType, singleUser)})
		if err != nil || len(encoded) > maxConfig {
			return "", fmt.Errorf("instance_id makes %s longer than %d characters", fieldConfig, maxConfig)
		}
		return string(encoded), nil
	}
	config := readConfig(raw)
	var object map[string]any
	switch {
	case json.Unmarshal([]byte(raw), &object) != nil || object == nil:
		return "", fmt.Errorf("%s isn't a JSON object", fieldConfig)
	case len(raw) > maxConfig:
		return "", fmt.Errorf("%s has %d characters, the limit is %d", fieldConfig, len(raw), maxConfig)
	case config.instance != c.InstanceID:
		return "", fmt.Errorf("%s names the instance %q, instance_id is %q", fieldConfig, config.instance, c.InstanceID)
	case config.subType != singleUser && config.subType != multiUser:
		return "", fmt.Errorf("%s: SecretSubType must be %s or %s", fieldConfig, singleUser, multiUser)
	case subType != "" && subType != config.subType:
		return "", fmt.Errorf("%s has the SecretSubType %q, %s is %q", fieldConfig, config.subType, fieldSubType, subType)
	}
	return raw, nil
}

// rotationConfig is what a rotation_config says.
type rotationConfig struct{ instance, subType string }

// readConfig reads a rotation_config of any age, and with ' for ", as the
// examples of answers have it.
func readConfig(text string) rotationConfig {
	var c struct {
		InstanceID, RDSInstanceID, SecretSubType string
		LegacyInstance                           string `json:"rds_instance_id"`
		LegacySubType                            string `json:"Secret_sub_type"`
	}
	for _, t := range []string{text, strings.ReplaceAll(text, "'", `"`)} {
		if json.Unmarshal([]byte(t), &c) == nil {
			break
		}
	}
	return rotationConfig{cmp.Or(c.InstanceID, c.RDSInstanceID, c.LegacyInstance), cmp.Or(c.SecretSubType, c.LegacySubType)}
}

func events(c provider.NewCredential) ([]string, error) {
	var names []string
	text, given := c.Parameters[fieldEvents]
	if !given {
		return nil, nil
	}
	if json.Unmarshal([]byte(text), &names) != nil || len(names) > maxEvents {
		return nil, fmt.Errorf("%s: a credential is subscribed to one event at most", fieldEvents)
	}
	if slices.ContainsFunc(names, func(name string) bool { return !eventForm.MatchString(name) }) {
		return nil, fmt.Errorf("%s: the name of an event has 1 to 64 of letters, digits, '_' and '-'", fieldEvents)
	}
	return names, nil
}

// eventList is the field's text for the events of an answer, "" for none.
func eventList(names []string) string {
	names = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return name == "" })
	if len(names) == 0 {
		return ""
	}
	encoded, _ := json.Marshal(names) // texts always encode
	return string(encoded)
}

// login is an account of the initial credentials.
type login struct {
	Name     string `json:"name"`
	Username string `json:"username,omitempty"`
	Password string `json:"password"`
}

// initialValue is what is sent of the initial credentials, and each password,
// which no error may quote either. Of the shapes that are documented for the
// legacy type only, users is the likely one.
func initialValue(c provider.NewCredential, subType string) (provider.Value, []provider.Value, error) {
	raw := c.Initial.Reveal()
	var object map[string]json.RawMessage
	isObject := json.Unmarshal([]byte(raw), &object) == nil && object != nil
	if c.Parameters[fieldFormat] == formatAsIs {
		if !isObject {
			return provider.Value{}, nil, errors.New("initial_credentials aren't a JSON object")
		}
		value := placed(c, raw)
		var passwords []provider.Value
		for name, part := range parts(value) {
			if strings.HasPrefix(name, "password") {
				passwords = append(passwords, provider.Text(part.Reveal()))
			}
		}
		return value, passwords, nil
	}
	users, err := logins([]byte(raw))
	if err != nil {
		return provider.Value{}, nil, err
	}
	if want := map[string]int{singleUser: 1, multiUser: 2}[subType]; len(users) != want {
		return provider.Value{}, nil, fmt.Errorf("initial_credentials have %d accounts, %s needs %d", len(users), subType, want)
	}
	if len(users) == 2 && users[0].Name == users[1].Name {
		return provider.Value{}, nil, errors.New("initial_credentials name one account twice, MultiUser needs two")
	}
	passwords := make([]provider.Value, len(users))
	for i, u := range users {
		passwords[i] = provider.Text(u.Password)
	}
	var encoded bytes.Buffer
	encoder := json.NewEncoder(&encoded)
	encoder.SetEscapeHTML(false) // functions may be less forgiving than a parser of JSON
	if err := encoder.Encode(map[string]any{"users": users}); err != nil {
		return provider.Value{}, nil, errors.New("initial_credentials can't be encoded")
	}
	return placed(c, strings.TrimSpace(encoded.String())), passwords, nil
}

func placed(c provider.NewCredential, text string) provider.Value {
	if c.Parameters[fieldPlace] == placeBinary {
		return provider.Binary([]byte(text))
	}
	return provider.Text(text)
}

// logins reads the forms that people may give accounts in.
func logins(raw []byte) ([]login, error) {
	const form = `initial_credentials must be {"username":"..","password":".."}, a list of two of these for MultiUser, ` +
		`or {"users":[{"name":"..","password":".."}]}`
	var one struct {
		login
		Users []login `json:"users"`
	}
	var users []login
	if json.Unmarshal(raw, &users) != nil {
		if json.Unmarshal(raw, &one) != nil {
			return nil, errors.New(form)
		}
		if users = one.Users; users == nil {
			users = []login{one.login}
		}
	}
	for i, u := range users {
		users[i] = login{Name: cmp.Or(u.Name, u.Username), Password: u.Password}
		if users[i].Name == "" || u.Password == "" {
			return nil, errors.New(form)
		}
	}
	return users, nil
}
