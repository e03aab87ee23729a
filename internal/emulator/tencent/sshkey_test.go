// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package tencent_test

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"strings"
	"testing"

	ssm "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/ssm/v20190923"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/tencent"
)

func sshRequest(name string) *ssm.CreateSSHKeyPairSecretRequest {
	r := ssm.NewCreateSSHKeyPairSecretRequest()
	r.SecretName, r.ProjectId, r.SSHKeyName = &name, p(int64(0)), p("login")
	return r
}

func (c cloud) sshValue(name, keyID string) (*ssm.GetSSHKeyPairValueResponseParams, error) {
	r := ssm.NewGetSSHKeyPairValueRequest()
	if name != "" {
		r.SecretName = &name
	}
	if keyID != "" {
		r.SSHKeyId = &keyID
	}
	answer, err := c.GetSSHKeyPairValue(r)
	if err != nil {
		return nil, err
	}
	return answer.Response, nil
}

func TestAnSSHKeyPairIsMadeAndRead(t *testing.T) {
	t.Parallel()
	c := start(t, tencent.Options{})
	made, err := c.CreateSSHKeyPairSecret(sshRequest("ssh"))
	if err != nil {
		t.Fatal(err)
	}
	if id := *made.Response.SSHKeyID; !strings.HasPrefix(id, "skey-") || *made.Response.SSHKeyName != "login" {
		t.Errorf("made %s, %s", id, *made.Response.SSHKeyName)
	}
	for _, by := range [][2]string{{"ssh", ""}, {"", *made.Response.SSHKeyID}} {
		value, err := c.sshValue(by[0], by[1])
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode([]byte(*value.PrivateKey))
		if block == nil {
			t.Fatal("the private key isn't PEM")
		}
		if _, err := x509.ParsePKCS1PrivateKey(block.Bytes); err != nil {
			t.Error(err)
		}
		if !strings.HasPrefix(*value.PublicKey, "ssh-rsa AAAAB3NzaC1yc2E") || *value.SSHKeyDescription != "created by ssm" {
			t.Errorf("the public key is %q", *value.PublicKey)
		}
	}
	described, err := c.describe("ssh")
	if err != nil || *described.SecretType != 2 || *described.ResourceName != "login" || *described.Status != "Enabled" {
		t.Errorf("described as %+v (%v)", described, err)
	}
	if err := c.server.Switch(tencent.Switches{EncodedKeys: true}); err != nil {
		t.Fatal(err)
	}
	value, err := c.sshValue("ssh", "")
	if err != nil {
		t.Fatal(err)
	}
	if decoded, err := base64.StdEncoding.DecodeString(*value.PublicKey); err != nil || !strings.HasPrefix(string(decoded), "ssh-rsa ") {
		t.Errorf("encoded it is %q (%v)", *value.PublicKey, err)
	}
}

func TestAnSSHKeyPairHasItsOwnRules(t *testing.T) {
	t.Parallel()
	c := start(t, tencent.Options{})
	for name, change := range map[string]func(*ssm.CreateSSHKeyPairSecretRequest){
		"a name of 26 is too long":      func(r *ssm.CreateSSHKeyPairSecretRequest) { r.SSHKeyName = p(strings.Repeat("n", 26)) },
		"a name has no hyphen":          func(r *ssm.CreateSSHKeyPairSecretRequest) { r.SSHKeyName = p("a-b") },
		"a name begins with no dash":    func(r *ssm.CreateSSHKeyPairSecretRequest) { r.SSHKeyName = p("_a") },
		"a project isn't below nothing": func(r *ssm.CreateSSHKeyPairSecretRequest) { r.ProjectId = p(int64(-1)) },
	} {
		r := sshRequest("ssh")
		change(r)
		if _, err := c.CreateSSHKeyPairSecret(r); code(err) != invalidValue {
			t.Errorf("%s: %v", name, err)
		}
	}
	r := sshRequest("ssh")
	r.ProjectId = nil
	_, err := c.CreateSSHKeyPairSecret(r)
	wantCode(t, err, "MissingParameter")

	_, err = c.CreateSSHKeyPairSecret(sshRequest("ssh"))
	wantCode(t, err, "")
	_, err = c.CreateSSHKeyPairSecret(sshRequest("ssh"))
	wantCode(t, err, "ResourceInUse.SecretExists")
	_, err = c.get("ssh", "SSM_Current")
	wantCode(t, err, failed)
	_, err = c.rotate("ssh")
	wantCode(t, err, failed)
	c.create(t, "own", "value")
	_, err = c.sshValue("own", "")
	wantCode(t, err, failed)
	_, err = c.sshValue("", "")
	wantCode(t, err, "MissingParameter")
	_, err = c.sshValue("", "skey-none")
	wantCode(t, err, "ResourceNotFound")

	wantCode(t, c.disable("ssh"), "")
	_, err = c.sshValue("ssh", "")
	wantCode(t, err, "ResourceUnavailable")
	wantCode(t, c.deleteAfter("ssh", 7), invalidValue)
	wantCode(t, c.deleteAfter("ssh", 0), "")
}
