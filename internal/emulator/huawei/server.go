// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package huawei

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

// ServiceName is what the service is called in endpoints and the control API.
const ServiceName = "huawei-csms"

// The projects that exist where no other was given. A real project belongs to
// one region of one account; these are open to all accounts, and each account
// sees its own secrets in them.
const (
	ExampleProjectID      = "0123456789abcdef0123456789abcdef"
	OtherExampleProjectID = "fedcba9876543210fedcba9876543210"
)

var projectForm = regexp.MustCompile(`^[0-9a-f]{32}$`)

// Options is what a server is made with. The zero value is a server in memory
// with the example account, projects and KMS key, and today's limits. A KMS
// key's region is a project.
type Options struct {
	emulator.Options
	Switches Switches
	Projects []string // project ids; nil for the two examples
}

// Server is one emulated CSMS for all its projects, an http.Handler and an
// [emulator.Service], for which a region is a project. It is safe for
// concurrent use.
type Server struct {
	emulator.Base
	*emulator.Switchboard[Switches]
	secrets  *emulator.Store[secret, *secret]
	agencies *agencies
	projects []string
	locks    locks
}

// New makes a server, with the state that Options.DataDir holds.
func New(options Options) (*Server, error) {
	switches, err := emulator.NewSwitchboard(options.Switches, Switches.check)
	if err != nil {
		return nil, err
	}
	projects := options.Projects
	if projects == nil {
		projects = []string{ExampleProjectID, OtherExampleProjectID}
	}
	for _, project := range projects {
		if !projectForm.MatchString(project) {
			return nil, fmt.Errorf("project %q: an id has 32 lower-case hexadecimal digits", project)
		}
	}
	base, secrets, err := emulator.Open[secret](options.Options, throttling)
	if err != nil {
		return nil, err
	}
	agencies, err := openAgencies(options.DataDir)
	if err != nil {
		return nil, err
	}
	return &Server{
		Base: base, Switchboard: switches, secrets: secrets, agencies: agencies,
		projects: slices.Clone(projects),
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
