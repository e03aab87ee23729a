// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package providertest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/sensitive"
)

// Fixture is a service for one case of the suite. The optional hooks are what a
// stand-in can do and a live account can't; cases that need a missing one are
// skipped.
type Fixture struct {
	Kind   provider.Kind
	Config provider.Config // with credentials that may do everything

	KMSKeyID     string // a key that the service accepts; "" for its default key
	RefusedKeyID string // a key that it refuses; optional

	// Strike makes the next call go wrong in the way that is its key; optional.
	Strike map[Fault]func()
	// Hang makes the next call wait until release is called or the caller gives
	// up. Reached is closed when it has arrived; optional.
	Hang func() (reached <-chan struct{}, release func())
	// Echo makes the next call fail with a text of the service's; optional.
	Echo func(text string)
	// SeedManaged makes a secret whose value the service manages; optional.
	SeedManaged func(name string)
	// Tags returns the tags that the service holds for a secret; optional.
	Tags func(name string) map[string]string
	// ReadsPending is set where a secret pending deletion may be readable still.
	ReadsPending bool
	// WritesManaged is set where the service may take a value for a managed
	// secret, so that only the engine keeps off.
	WritesManaged bool
	// TagsLater is set where a creation may leave its tags to ChangeTags.
	TagsLater bool
	// LooksFirst names the writers that read before they write. A fault of their
	// first call leaves no doubt about the effect.
	LooksFirst []string
	// Arrived returns the operations that have reached the service, in order, by
	// their names in [provider.Call]; optional.
	Arrived func() []string
	// Rate is what the service documents for an operation; optional.
	Rate func(operation string) (perSecond float64, documented bool)
	// Enforce makes the service refuse what is over so many times its documented
	// rates; optional.
	Enforce func(factor float64)
	// Tick moves the service's clock on by a second; optional.
	Tick func()
	// Expire lets every scheduled deletion fall due; optional.
	Expire func()
	// Credentials is set for a service with managed credentials; optional.
	Credentials *CredentialFixture
}

// Fault is a way in which a call goes wrong.
type Fault string

// The faults. Only FaultLostAnswer strikes after the effect.
const (
	FaultThrottled  Fault = "throttled"
	FaultForbidden  Fault = "forbidden"     // the credentials may not make the call
	FaultExpired    Fault = "expired"       // the credentials are no longer valid
	FaultService    Fault = "service fault" // the service says that something broke in it
	FaultProxy      Fault = "proxy fault"   // a gateway in between answers, not the service
	FaultDropped    Fault = "dropped call"  // the connection ends without an answer, nothing is done
	FaultLostAnswer Fault = "lost answer"   // the call is done, and then the connection ends
)

// Run checks that a provider keeps the contract. Each case calls open for a
// fixture of its own, and uses names of its own, so that fixtures may share an
// account. What a case makes is deleted when it ends.
func Run(t *testing.T, open func(t testing.TB) Fixture) {
	t.Helper()
	for _, group := range [][]rule{valueRules, versionRules, lifeRules, abilityRules, refusalRules, faultRules, gateRules, inventoryRules, credentialRules} {
		for _, r := range group {
			t.Run(r.sentence, func(t *testing.T) {
				r.check(newSuite(t, open(t)))
			})
		}
	}
}

// rule is one sentence of the contract and how to see that it holds.
type rule struct {
	sentence string
	check    func(s *suite)
}

// suite is one case at work.
type suite struct {
	*testing.T
	Fixture
	provider.Destination

	ctx    context.Context
	canary string // part of every value, must be in no error
	prefix string
	names  int
}

func newSuite(t *testing.T, f Fixture) *suite {
	t.Helper()
	d, err := f.Kind.Open(f.Config)
	if err != nil {
		t.Fatalf("open the destination: %v", err)
	}
	return &suite{
		T: t, Fixture: f, Destination: d, ctx: t.Context(),
		canary: "canary-" + rand.Text(),
		prefix: "conformance-" + strings.ToLower(rand.Text()[:10]),
	}
}

// name returns a new name, whose secret is deleted when the case ends.
func (s *suite) name() string {
	s.names++
	name := fmt.Sprintf("%s-%d", s.prefix, s.names)
	s.Cleanup(func() {
		ctx := context.Background()
		if switcher, ok := s.Destination.(provider.Switcher); ok {
			_ = switcher.Disable(ctx, name)
		}
		window := provider.Days(s.Kind.Limits.Window.MinDays)
		if s.Kind.Limits.Window.Immediate {
			window = 0
		}
		_ = s.Delete(ctx, name, window)
	})
	return name
}

// text returns a value that differs for each label.
func (s *suite) text(label string) provider.Value {
	return provider.Text(s.canary + "-" + label)
}

// made creates a secret with that value and returns its name and version id.
func (s *suite) made(v provider.Value) (name, versionID string) {
	s.Helper()
	name = s.name()
	created, err := s.Create(s.ctx, name, provider.NewSecret{VersionID: s.id("v1"), Value: v, Description: "made by the suite"})
	s.noError(err, "create %s", name)
	if created.TagsError != nil {
		s.Errorf("create %s without tags reports a tags error: %v", name, created.TagsError)
	}
	return name, created.VersionID
}

// id is the id to ask for: none where the service assigns them.
func (s *suite) id(wanted string) string {
	if s.assignsIDs() {
		return ""
	}
	return wanted
}

func (s *suite) assignsIDs() bool { return s.Kind.Limits.VersionIDBytes == 0 }

func (s *suite) put(name, versionID string, v provider.Value) string {
	s.Helper()
	id, err := s.PutVersion(s.ctx, name, s.id(versionID), v)
	s.noError(err, "put version %s of %s", versionID, name)
	return id
}

func (s *suite) noError(err error, format string, args ...any) {
	s.Helper()
	if err != nil {
		s.Fatalf("%s: %v", fmt.Sprintf(format, args...), err)
	}
}

// fails checks that err has that class and tells no secrets.
func (s *suite) fails(err error, want provider.Class, format string, args ...any) {
	s.Helper()
	_ = s.failure(err, want, format, args...)
}

// failure is fails for who looks further.
func (s *suite) failure(err error, want provider.Class, format string, args ...any) *provider.Error {
	s.Helper()
	what := fmt.Sprintf(format, args...)
	if err == nil {
		s.Fatalf("%s: success, want class %s", what, want)
	}
	var e *provider.Error
	if !errors.As(err, &e) {
		s.Fatalf("%s: a %T instead of a *provider.Error: %v", what, err, err)
	}
	if e.Class != want {
		s.Errorf("%s: class %s, want %s: %v", what, e.Class, want, err)
	}
	s.tellsNothing(err, what)
	return e
}

// tellsNothing checks that no text of err quotes the value or the credentials.
func (s *suite) tellsNothing(err error, what string) {
	s.Helper()
	for _, text := range []string{err.Error(), fmt.Sprintf("%+v", err), fmt.Sprintf("%#v", err)} {
		for kind, secret := range map[string]string{
			"the value":         s.canary,
			"access_key_secret": s.Config.AccessKeySecret.Reveal(),
			"security_token":    s.Config.SecurityToken.Reveal(),
		} {
			if secret != "" && strings.Contains(text, secret) {
				s.Errorf("%s: the error quotes %s", what, kind)
			}
		}
		if strings.ContainsRune(text, '\n') {
			s.Errorf("%s: the error has several lines: %q", what, text)
		}
	}
}

// holds checks what a version reads as.
func (s *suite) holds(name, versionID string, want provider.Value) {
	s.Helper()
	got, err := s.Read(s.ctx, name, versionID)
	s.noError(err, "read version %s of %s", versionID, name)
	if !got.Equal(want) {
		s.Errorf("version %s of %s holds another value (binary %t, %d bytes), want (binary %t, %d bytes)",
			versionID, name, got.IsBinary(), got.Len(), want.IsBinary(), want.Len())
	}
}

func (s *suite) described(name string) provider.Secret {
	s.Helper()
	got, err := s.Describe(s.ctx, name)
	s.noError(err, "describe %s", name)
	if got.Name != name {
		s.Errorf("describe %s: it has the name %q", name, got.Name)
	}
	return got
}

func (s *suite) hasState(name string, want provider.State) provider.Secret {
	s.Helper()
	got := s.described(name)
	if got.State != want {
		s.Errorf("%s is in state %s, want %s", name, got.State, want)
	}
	return got
}

func (s *suite) isAbsent(name string) {
	s.Helper()
	_, err := s.Describe(s.ctx, name)
	s.fails(err, provider.ClassNotFound, "describe the absent %s", name)
}

func (s *suite) versionIDs(name string) []string {
	s.Helper()
	versions, err := s.Versions(s.ctx, name)
	s.noError(err, "list the versions of %s", name)
	ids := make([]string, 0, len(versions))
	for _, v := range versions {
		ids = append(ids, v.ID)
	}
	return ids
}

// disable makes name deletable where the service demands it.
func (s *suite) disable(name string) {
	s.Helper()
	if switcher, ok := s.Destination.(provider.Switcher); ok {
		s.noError(switcher.Disable(s.ctx, name), "disable %s", name)
	}
}

// window is a deletion window that the kind allows.
func (s *suite) window() time.Duration { return provider.Days(s.Kind.Limits.Window.MaxDays) }

func (s *suite) schedule(name string) {
	s.Helper()
	s.disable(name)
	s.noError(s.Delete(s.ctx, name, s.window()), "delete %s with a window", name)
}

// tick lets a second pass, where the service's clock can be moved.
func (s *suite) tick() {
	if s.Tick != nil {
		s.Tick()
	}
}

func (s *suite) strike(f Fault) {
	s.Helper()
	hook, ok := s.Strike[f]
	if !ok {
		s.Skipf("the fixture can't make a %s", f)
	}
	hook()
}

func (s *suite) can(ability bool, name string) {
	s.Helper()
	if !ability {
		s.Skipf("%s: the fixture or the service can't", name)
	}
}

// ability returns d's optional interface or skips the case.
func ability[A any](s *suite) A {
	s.Helper()
	a, ok := s.Destination.(A)
	if !ok {
		s.Skipf("%s destinations have no %T", s.Kind.Type, new(A))
	}
	return a
}

// as opens the destination with a changed configuration.
func (s *suite) as(change func(c *provider.Config)) provider.Destination {
	s.Helper()
	c := s.Config
	change(&c)
	d, err := s.Kind.Open(c)
	s.noError(err, "open with other settings")
	return d
}

func wrongSecret(c *provider.Config) {
	c.AccessKeySecret = sensitive.NewString("not-the-secret-of-this-key")
}
