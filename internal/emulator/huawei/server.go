// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package huawei

import (
	"cmp"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"sync"

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
// [emulator.Service]. It is safe for concurrent use.
type Server struct {
	core     *emulator.Core
	projects []string
	locks    locks

	mu       sync.Mutex // guards what follows, and keeps changes and files in one order
	switches Switches
	secrets  map[secretKey]*secret
}

// secretKey is what names a secret. Names are unique per account and project.
type secretKey struct{ account, project, name string }

// New makes a server, with the state that Options.DataDir holds.
func New(options Options) (*Server, error) {
	if err := options.Switches.check(); err != nil {
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
	core, err := emulator.NewCore(options.Options)
	if err != nil {
		return nil, err
	}
	s := &Server{core: core, projects: slices.Clone(projects), switches: options.Switches, secrets: make(map[secretKey]*secret)}
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
func (s *Server) Inspect(project, name string) (emulator.Secret, bool) {
	return s.Find(emulator.Ref{Region: project, Name: name})
}

func keyOf(ref emulator.Ref) secretKey {
	return secretKey{cmp.Or(ref.Account, emulator.ExampleAccountID), ref.Region, ref.Name}
}

var (
	_ emulator.Service  = (*Server)(nil)
	_ emulator.Switched = (*Server)(nil)
)
