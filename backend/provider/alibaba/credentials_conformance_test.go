// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package alibaba_test

import (
	"testing"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider/providertest"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/sensitive"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	emulated "github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/alibaba"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/emulatortest"
)

// examplePassword is in every initial credential of the examples.
const examplePassword = "initial-0123456789-password"

// exampleCredentials are creations of each kind, by what they are.
var exampleCredentials = map[string]provider.NewCredential{
	"one database account": {
		Product: "Rds", InstanceID: "rm-1", Parameters: map[string]string{"secret_sub_type": "SingleUser"},
		Initial: sensitive.NewString(`{"username":"app","password":"` + examplePassword + `"}`),
	},
	"two database accounts": {
		Product: "Rds", InstanceID: "rm-1", Parameters: map[string]string{"secret_sub_type": "DoubleUsers", "custom_data": `{"team":"a"}`},
		Initial: sensitive.NewString(`[{"username":"app","password":"` + examplePassword + `"},{"username":"app2","password":"` + examplePassword + `"}]`),
	},
	"a RAM user": {
		Product: "RAMCredentials", Parameters: map[string]string{"user_name": "deploy"},
		Initial: sensitive.NewString(`{"access_key_id":"LTAI-example","access_key_secret":"` + examplePassword + `"}`),
	},
	"a server's password": {
		Product: "ECS", InstanceID: "i-1", Parameters: map[string]string{"secret_sub_type": "Password"},
		Initial: sensitive.NewString(`{"username":"root","password":"` + examplePassword + `"}`),
	},
	"a server's key": {
		Product: "ECS", InstanceID: "i-1", Parameters: map[string]string{"secret_sub_type": "SSHKey"},
		Initial: sensitive.NewString(`{"username":"root","public_key":"ssh-rsa AAAA","private_key":"` + examplePassword + `"}`),
	},
	"a Redis account": {
		Product: "Redis", InstanceID: "r-1", Parameters: map[string]string{"account_name": "app", "account_privilege": "RoleReadWrite"},
	},
	"a PolarDB account": {
		Product: "PolarDB", InstanceID: "pc-1",
		Parameters: map[string]string{"account_name": "app", "db_type": "MySQL", "account_type": "Normal", "account_privilege": "ReadWrite", "db_name": "orders"},
	},
}

// credentialFixture is what the rules for managed credentials need.
func credentialFixture(tb testing.TB, server *emulated.Server) *providertest.CredentialFixture {
	tb.Helper()
	var held []emulator.Rule
	f := &providertest.CredentialFixture{
		Slow: func() {
			held = append(held, emulatortest.AddFault(tb, server, emulator.Fault{Kind: emulator.Hang, Operation: "Rotation"}))
		},
		Finish: func() {
			for _, rule := range held {
				server.Faults().Clear(rule.ID)
			}
		},
		SynchronousCreation: true,
		FailNext:            func() { emulatortest.AddFault(tb, server, emulator.Fails("Rotation", "InternalFailure")) },
		LoseRotation:        func() { emulatortest.AddFault(tb, server, emulator.LostReply("RotateSecret")) },
		Elapse:              func(d time.Duration) { pass(server, d) },
	}
	for _, what := range []string{"one database account", "two database accounts", "a RAM user", "a server's password", "a Redis account", "a PolarDB account"} {
		f.New = append(f.New, exampleCredentials[what])
	}
	return f
}
