// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package tencent

import (
	"net/http"

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
	emulator.Base
	*emulator.Switchboard[Switches]
	secrets *emulator.Store[secret, *secret]
	regions []string
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
	regions := options.Regions
	if regions == nil {
		regions = []string{"ap-guangzhou", "ap-beijing", "ap-hongkong", "ap-jakarta", "ap-shanghai", "ap-singapore", "ap-tokyo"}
	}
	secrets.ForgetsAnyway = true // unlike the other clouds, by no documented rule
	return &Server{
		Base: base, Switchboard: switches, secrets: secrets,
		regions: regions,
	}, nil
}

// ServeHTTP answers one API call.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.Core().Serve(w, r, protocol{s})
}

var (
	_ emulator.Service  = (*Server)(nil)
	_ emulator.Switched = (*Server)(nil)
)
