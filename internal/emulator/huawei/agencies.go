// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package huawei

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

// AgencyWork is what faults call the making of an agency: with Error it fails,
// and CreateAgency tells the message in an answer that is a success.
const AgencyWork = "AgencyCreation"

// agencies are the service agencies of accounts by types of secrets: what lets
// the rotation's function work on databases.
type agencies struct {
	mu    sync.Mutex
	files *emulator.Files
	made  map[string]bool // by account and type
}

func openAgencies(dataDir string) (*agencies, error) {
	if dataDir != "" {
		dataDir = filepath.Join(dataDir, "agencies")
	}
	files, err := emulator.OpenFiles(dataDir)
	if err != nil {
		return nil, err
	}
	a := &agencies{files: files, made: make(map[string]bool)}
	return a, files.Each(func(key string, _ json.RawMessage) error {
		a.made[key] = true
		return nil
	})
}

func (a *agencies) granted(account, secretType string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.made[account+"/"+secretType]
}

func (a *agencies) grant(account, secretType string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	key := account + "/" + secretType
	if err := a.files.Put(key, true); err != nil {
		return err
	}
	a.made[key] = true
	return nil
}

type agencyCreation struct {
	SecretType string `json:"secret_type"`
}

// createAgency makes what is missing. The names are made up.
func createAgency(c *call, b agencyCreation) (any, *emulator.Failure) {
	if !managedType(b.SecretType) {
		return nil, invalid("secret_type must be RDS-FG or GaussDB-FG")
	}
	var made []object
	whole := true
	for _, name := range []string{"CSMSAgencyFor", "FunctionGraphAgencyFor"} {
		one := object{"agency_name": name + strings.TrimSuffix(b.SecretType, "-FG")}
		failed := c.server.Faults().StrikeWork(emulator.Target{Operation: AgencyWork})
		if i := slices.IndexFunc(failed, func(r emulator.Rule) bool { return r.Fault.Kind == emulator.Error }); i >= 0 {
			one["error_msg"] = cmp.Or(failed[i].Fault.Message, failed[i].Fault.Code)
			whole = false
		} else {
			one["agency_id"] = strings.ReplaceAll(newUUID(), "-", "")
		}
		made = append(made, one)
	}
	if whole {
		if err := c.server.agencies.grant(c.Account.AccountID, b.SecretType); err != nil {
			return nil, failWith(0, codeKMSInternal, "The agency could not be stored.")
		}
	}
	return object{"agencies": made}, nil
}

// showAgency answers with a text where one expects a bool, as documented.
func showAgency(c *call) (any, *emulator.Failure) {
	secretType := c.HTTP.URL.Query().Get("secret_type")
	if !managedType(secretType) {
		return nil, invalid("secret_type must be RDS-FG or GaussDB-FG")
	}
	return object{"agency_granted": strconv.FormatBool(c.server.agencies.granted(c.Account.AccountID, secretType))}, nil
}

var (
	subTypes = []string{singleUser, multiUser}
	engines  = []string{"mysql", "postgresql", "sqlserver"}
)

// showTemplates gives the code of a rotation's function, here a line in its
// place.
func showTemplates(c *call) (any, *emulator.Failure) {
	q := c.HTTP.URL.Query()
	if failure := checkTemplate(q); failure != nil {
		return nil, failure
	}
	return object{"function_templates": fmt.Sprintf("# rotates %s, %s, %s\ndef handler(event, context):\n    raise NotImplementedError\n",
		q.Get("secret_type"), q.Get("secret_sub_type"), cmp.Or(q.Get("engine"), "taurusdb"))}, nil
}

func checkTemplate(q url.Values) *emulator.Failure {
	secretType, engine := q.Get("secret_type"), q.Get("engine")
	switch {
	case !managedType(secretType):
		return invalid("secret_type must be RDS-FG or GaussDB-FG")
	case !slices.Contains(subTypes, q.Get("secret_sub_type")):
		return invalid("secret_sub_type must be SingleUser or MultiUser")
	case secretType == typeRDS && !slices.Contains(engines, engine):
		return invalid("engine must be mysql, postgresql or sqlserver for RDS-FG")
	case secretType != typeRDS && engine != "":
		return invalid("engine belongs to RDS-FG")
	}
	return nil
}
