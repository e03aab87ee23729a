// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package alibaba

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"time"
)

// login is the value of a managed secret by the names of its parts.
type login map[string]string

// The parts of logins.
const (
	partAccount   = "AccountName"
	partPassword  = "AccountPassword"
	partKeyID     = "AccessKeyId"
	partKeySecret = "AccessKeySecret"
	partGenerated = "GenerateTimestamp"
	partUser      = "UserName"
	partUserPass  = "Password"
	partPublic    = "PublicKey"
	partPrivate   = "PrivateKey"
)

// readLogin returns the parts of a stored value. What somebody seeded may be of
// any form, so there may be none.
func readLogin(data string) login {
	l := login{}
	if json.Unmarshal([]byte(data), &l) != nil {
		return login{}
	}
	return l
}

func (l login) encode() string {
	text, _ := json.Marshal(l) // texts always encode
	return string(text)
}

// has tells whether the login has exactly these parts, none of them empty.
func (l login) has(parts ...string) bool {
	for _, part := range parts {
		if l[part] == "" {
			return false
		}
	}
	return len(l) == len(parts)
}

// firstLogins reads SecretData of a new managed secret: the logins that are
// there, or none where the service makes them.
func (r *reader) firstLogins(kind string, m *managed, auto bool) []login {
	const name, most = "SecretData", 2
	data := r.need(name)
	r.check(name, len(data) <= maxValue)
	if auto {
		r.check(name, data == autoText || data == "")
		return nil
	}
	var logins []login
	switch kind {
	case typeRDS:
		var given struct{ Accounts []login }
		r.check(name, data == "" || json.Unmarshal([]byte(data), &given) == nil)
		logins = given.Accounts
		r.check(name, data == "" || len(logins) > 0 && len(logins) <= most && (len(logins) == 1 || m.subType() == subDoubleUser))
	case typeRAM:
		var given struct{ AccessKeys []login }
		r.check(name, data == "" || json.Unmarshal([]byte(data), &given) == nil)
		logins = given.AccessKeys
		r.check(name, data == "" || len(logins) > 0 && len(logins) <= most)
	default:
		var given login
		r.check(name, data == "" || json.Unmarshal([]byte(data), &given) == nil)
		logins = []login{given}
	}
	for _, l := range logins {
		r.check(name, data == "" || l.has(partsOf(kind, m.subType())...))
	}
	return logins
}

// partsOf are the parts that the logins of a new secret have.
func partsOf(kind, subType string) []string {
	switch {
	case kind == typeRAM:
		return []string{partKeyID, partKeySecret}
	case subType == subSSHKey:
		return []string{partUser, partPublic, partPrivate}
	case kind == typeECS:
		return []string{partUser, partUserPass}
	}
	return []string{partAccount, partPassword}
}

// firstValue is that of the first version: of the logins that were given, or one
// that the service makes.
func (m *managed) firstValue(kind string, given []login, now time.Time) string {
	if len(given) == 0 {
		return m.nextValue(kind, login{partAccount: m.text(configAccount)}, login{partAccount: m.text(configAccount)}, now)
	}
	if len(given) > 1 {
		m.Spare = given[1].encode()
	}
	first := given[0]
	if kind == typeRAM {
		first[partGenerated] = timeText(now)
	}
	return first.encode()
}

// nextValue is the value after a rotation, by the current login and the one that
// was before.
func (m *managed) nextValue(kind string, current, previous login, now time.Time) string {
	switch {
	case kind == typeRAM:
		return login{partKeyID: "LTAI5t" + randomText(18), partKeySecret: randomText(30), partGenerated: timeText(now)}.encode()
	case m.subType() == subSSHKey:
		public, private := newKeyPair()
		return login{partUser: current[partUser], partPublic: public, partPrivate: private}.encode()
	case kind == typeECS:
		return login{partUser: current[partUser], partUserPass: newPassword()}.encode()
	}
	account := current[partAccount]
	if m.subType() == subDoubleUser {
		account = previous[partAccount]
	}
	if account == "" { // the second account is made at the first rotation
		account = m.text(configClone)
	}
	if account == "" {
		account = current[partAccount] + "_clone"
	}
	return login{partAccount: account, partPassword: newPassword()}.encode()
}

// alphanumeric are the letters and digits of passwords and names, by class.
func alphanumeric() []string {
	classes := make([]string, 0, 4)
	for _, class := range characterClasses[:3] {
		classes = append(classes, class.characters)
	}
	return classes
}

func newPassword() string { return password(32, append(alphanumeric(), "!@#$%^&*()-+="), true) }

// randomText returns letters and digits.
func randomText(length int) string { return password(length, alphanumeric(), false) }

// newKeyPair makes an RSA key, the public part in the form of OpenSSH.
func newKeyPair() (public, private string) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err) // the random source never fails
	}
	var wire []byte
	for _, field := range [][]byte{[]byte("ssh-rsa"), unsigned(big.NewInt(int64(key.E))), unsigned(key.N)} {
		wire = append(binary.BigEndian.AppendUint32(wire, uint32(len(field))), field...) //nolint:gosec // some hundred bytes
	}
	block := &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}
	return "ssh-rsa " + base64.StdEncoding.EncodeToString(wire), string(pem.EncodeToMemory(block))
}

// unsigned is a positive number whose first bit is its sign.
func unsigned(n *big.Int) []byte {
	if n.BitLen()%8 == 0 {
		return append([]byte{0}, n.Bytes()...)
	}
	return n.Bytes()
}
