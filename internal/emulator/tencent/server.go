// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package tencent

import (
	"bytes"
	"cmp"
	"encoding/json"
	"net/http"
	"sync"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

// ServiceName is what the service is called in endpoints and the control API.
const ServiceName = "tencent-ssm"

// Options is what a server is made with. The zero value is a server in memory
// with the example account, the example KMS key and today's limits.
type Options struct {
	emulator.Options
	Switches Switches
	Regions  []string // where the service is sold; nil for those of the international site
}

// Server is one emulated SSM for all its regions, an http.Handler and an
// [emulator.Service]. It is safe for concurrent use.
type Server struct {
	core    *emulator.Core
	regions []string

	mu       sync.Mutex // guards what follows, and keeps changes and files in one order
	switches Switches
	secrets  map[secretKey]*secret
}

// secretKey is what names a secret. Names are unique per account and region.
type secretKey struct{ account, region, name string }

// New makes a server, with the state that Options.DataDir holds.
func New(options Options) (*Server, error) {
	if err := options.Switches.check(); err != nil {
		return nil, err
	}
	core, err := emulator.NewCore(options.Options)
	if err != nil {
		return nil, err
	}
	regions := options.Regions
	if regions == nil {
		regions = []string{"ap-guangzhou", "ap-beijing", "ap-hongkong", "ap-jakarta", "ap-shanghai", "ap-singapore", "ap-tokyo"}
	}
	s := &Server{core: core, regions: regions, switches: options.Switches, secrets: make(map[secretKey]*secret)}
	if err := s.load(); err != nil {
		return nil, err
	}
	return s, nil
}

// ServeHTTP answers one API call.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.core.Serve(w, r, protocol{s})
}

// Core returns clock, accounts, KMS keys, faults and calls.
func (s *Server) Core() *emulator.Core { return s.core }

// Account adds an access key or replaces the one with its id.
func (s *Server) Account(a emulator.Account) error { return s.core.Accounts.Put(a) }

// Accounts are the access keys that may call.
func (s *Server) Accounts() *emulator.Accounts { return s.core.Accounts }

// Faults are the faults that strike calls.
func (s *Server) Faults() *emulator.Faults { return s.core.Faults }

// Calls are the calls that came in.
func (s *Server) Calls() *emulator.Calls { return s.core.Calls }

// Clock is the service's time.
func (s *Server) Clock() *emulator.Clock { return s.core.Clock }

// KMSKeys are the keys that secrets can be encrypted with.
func (s *Server) KMSKeys() *emulator.KMSKeys { return s.core.KMSKeys }

// Inspect returns a secret of the example account as it is stored.
func (s *Server) Inspect(region, name string) (emulator.Secret, bool) {
	return s.Find(emulator.Ref{Region: region, Name: name})
}

func keyOf(ref emulator.Ref) secretKey {
	return secretKey{cmp.Or(ref.Account, emulator.ExampleAccountID), ref.Region, ref.Name}
}

func strictUnmarshal(data []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	return decoder.Decode(into)
}

var (
	_ emulator.Service  = (*Server)(nil)
	_ emulator.Switched = (*Server)(nil)
)
