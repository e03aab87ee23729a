// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package alibaba

import (
	"bytes"
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"sync"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

// ServiceName is what the service is called in endpoints and the control API.
const ServiceName = "alicloud-kms"

// ExampleInstanceID is the KMS instance that exists where no other was given.
const ExampleInstanceID = "kst-emulator0000example"

// Options is what a server is made with. The zero value is a server in memory
// with the example account, KMS key and KMS instance.
type Options struct {
	emulator.Options
	Switches  Switches
	Regions   []string // nil for the common ones; calls without a region are for the first
	Instances []string // KMS instances, which exist in every region; nil for the example one
}

// Server is one emulated KMS for all its regions, an http.Handler and an
// [emulator.Service]. It is safe for concurrent use.
type Server struct {
	core      *emulator.Core
	regions   []string
	instances []string
	nonces    nonces

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
	s := &Server{
		core: core, regions: options.Regions, instances: options.Instances,
		switches: options.Switches, secrets: make(map[secretKey]*secret),
	}
	if s.regions == nil {
		s.regions = []string{
			"cn-hangzhou", "cn-beijing", "cn-shanghai", "cn-shenzhen", "cn-guangzhou", "cn-chengdu", "cn-hongkong",
			"ap-northeast-1", "ap-southeast-1", "ap-southeast-5", "eu-central-1", "us-east-1", "us-west-1",
		}
	}
	if s.instances == nil {
		s.instances = []string{ExampleInstanceID}
	}
	if err := s.load(); err != nil {
		return nil, err
	}
	return s, nil
}

// ServeHTTP answers one API call.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.core.Serve(w, r, &exchange{server: s})
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

func (s *Server) hasInstance(id string) bool { return slices.Contains(s.instances, id) }

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
