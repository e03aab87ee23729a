// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package tencent

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/pem"
	"math/big"
	"regexp"
	"strings"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

// sshKey is a key pair for logins of cloud servers.
type sshKey struct {
	ID, Name        string
	ProjectID       int64
	Private, Public string
}

var sshKeyNameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_]{0,24}$`)

type sshKeyParameters struct {
	SecretName      string `need:"true"`
	ProjectId       *int64 `need:"true"` //nolint:revive // the API's spelling
	Description     string
	KmsKeyId        string //nolint:revive // the API's spelling
	Tags            []tag
	SSHKeyName      string
	KmsHsmClusterId string //nolint:revive // the API's spelling
	EncryptType     uint64
}

func createSSHKeyPairSecret(c *call, p sshKeyParameters) (reply, *emulator.Failure) {
	switch {
	case *p.ProjectId < 0:
		return nil, fail(codeInvalidValue, "ProjectId must not be negative.")
	case p.SSHKeyName != "" && !sshKeyNameForm.MatchString(p.SSHKeyName):
		return nil, fail(codeInvalidValue, "SSHKeyName must have up to 25 letters, digits and underscores, and start with a letter or digit.")
	}
	next, failure := c.newManaged(managedParameters{
		p.SecretName, p.Description, p.KmsKeyId, p.Tags, p.EncryptType,
	}, typeSSHKey)
	if failure != nil {
		return nil, failure
	}
	key, err := newSSHKey()
	if err != nil {
		return nil, fail(codeInternal, "The key pair could not be made.")
	}
	key.Name, key.ProjectID = p.SSHKeyName, *p.ProjectId
	if key.Name == "" {
		key.Name = strings.ReplaceAll(key.ID, "-", "_") // of its form nothing is known
	}
	next.ResourceID = key.ID
	next.Managed = &managed{Product: "Cvm", HSMCluster: p.KmsHsmClusterId, EncryptType: p.EncryptType, SSHKey: &key}
	answer := c.saveTags(next)
	answer["SecretName"], answer["SSHKeyID"], answer["SSHKeyName"] = next.Name, key.ID, key.Name
	return answer, c.store(next)
}

func newSSHKey() (sshKey, error) {
	pair, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return sshKey{}, err
	}
	private := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(pair)})
	return sshKey{ID: "skey-" + strings.ToLower(rand.Text()[:8]), Private: string(private), Public: publicLine(&pair.PublicKey)}, nil
}

// publicLine is a key as in authorized_keys (RFC 4253, section 6.6).
func publicLine(key *rsa.PublicKey) string {
	var blob []byte
	for _, field := range [][]byte{[]byte("ssh-rsa"), big.NewInt(int64(key.E)).Bytes(), append([]byte{0}, key.N.Bytes()...)} {
		blob = binary.BigEndian.AppendUint32(blob, uint32(len(field))) //nolint:gosec // a few hundred bytes
		blob = append(blob, field...)
	}
	return "ssh-rsa " + base64.StdEncoding.EncodeToString(blob)
}

type sshValueParameters struct {
	SecretName string
	SSHKeyId   string //nolint:revive // the API's spelling
}

func getSSHKeyPairValue(c *call, p sshValueParameters) (reply, *emulator.Failure) {
	if p.SecretName == "" && p.SSHKeyId == "" {
		return nil, missing("SecretName")
	}
	name := p.SecretName
	if name == "" {
		found, ok := c.server.secrets.SearchLocked(func(s *secret) bool {
			return s.Account == c.Account.AccountID && s.Region == c.Region && s.Type == typeSSHKey && s.ResourceID == p.SSHKeyId
		})
		if !ok {
			return nil, secretNotFound()
		}
		name = found.Name
	}
	found, failure := c.secret(name)
	switch {
	case failure != nil:
		return nil, failure
	case found.Managed == nil || found.Managed.SSHKey == nil:
		return nil, fail(codeFailedOperation, "The secret is not an SSH key pair.")
	case found.Status != statusEnabled:
		return nil, fail(codeResourceUnavailable, "The secret is "+found.Status+".")
	}
	key := *found.Managed.SSHKey
	if c.switches.EncodedKeys {
		key.Private, key.Public = base64.StdEncoding.EncodeToString([]byte(key.Private)), base64.StdEncoding.EncodeToString([]byte(key.Public))
	}
	return reply{
		"SSHKeyID": key.ID, "PublicKey": key.Public, "PrivateKey": key.Private, "ProjectID": key.ProjectID,
		"SSHKeyDescription": "created by ssm", "SSHKeyName": key.Name,
	}, c.keyUsable(found.KMSKeyID)
}
