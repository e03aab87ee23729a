// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package alibaba

import (
	"net/http"
	"slices"
	"time"

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
// [emulator.Service]. Where it shows a stored version whose SecretDataType is
// binary, SecretData is in Binary as it was sent. It is safe for concurrent use.
type Server struct {
	emulator.Base
	*emulator.Switchboard[Switches]
	secrets   *emulator.Store[secret, *secret]
	regions   []string
	instances []string
	nonces    nonces

	// The lock of secrets guards these.
	managed   map[emulator.Ref]bool  // the managed secrets, which go on by themselves
	rotations map[string][]time.Time // asked for within the last hour, by account
}

// New makes a server, with the state that Options.DataDir holds.
func New(options Options) (*Server, error) {
	switches, err := emulator.NewSwitchboard(options.Switches, Switches.check)
	if err != nil {
		return nil, err
	}
	base, secrets, err := emulator.Open[secret](options.Options, throttling)
	if err != nil {
		return nil, err
	}
	s := &Server{
		Base: base, Switchboard: switches, secrets: secrets,
		regions: options.Regions, instances: options.Instances,
		managed: make(map[emulator.Ref]bool), rotations: make(map[string][]time.Time),
	}
	secrets.Lock()
	defer secrets.Unlock()
	_, _ = secrets.SearchLocked(func(stored *secret) bool {
		if stored.Managed != nil {
			s.managed[stored.Ref()] = true
		}
		return false // goes through all
	})
	if s.regions == nil {
		s.regions = []string{
			"cn-hangzhou", "cn-beijing", "cn-shanghai", "cn-shenzhen", "cn-guangzhou", "cn-chengdu", "cn-hongkong",
			"ap-northeast-1", "ap-southeast-1", "ap-southeast-5", "eu-central-1", "us-east-1", "us-west-1",
		}
	}
	if s.instances == nil {
		s.instances = []string{ExampleInstanceID}
	}
	return s, nil
}

// ServeHTTP answers one API call.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.Core().Serve(w, r, &exchange{server: s})
}

func (s *Server) hasInstance(id string) bool { return slices.Contains(s.instances, id) }

var (
	_ emulator.Service  = (*Server)(nil)
	_ emulator.Switched = (*Server)(nil)
)
