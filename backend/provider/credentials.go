// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package provider

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/sensitive"
)

// CredentialIssuer manages credentials whose values the service itself makes and
// rotates: database accounts, access keys, logins of servers. Such a credential is
// a secret of a type of its own at the service; Describe tells it by CloudManaged.
//
// As with [Writer], a method may be repeated after any failure, and an error with
// Ambiguous set means that the call may have taken effect.
//
//nolint:interfacebloat // a service that makes credentials has all of their life
type CredentialIssuer interface {
	// Products are the products that credentials can be made for here, by the
	// names that NewCredential.Product takes. A service that doesn't tell gives
	// the ones that its documents name.
	Products(ctx context.Context) ([]string, error)

	// CreateCredential begins the creation. A name that is taken, in whatever
	// state and by whomever, is class Exists; the caller then describes it and
	// decides. Where the service makes the name up, name is what its own begins
	// with or is ignored, and after an Ambiguous error the caller looks for its
	// mark with FindCredential before it repeats.
	CreateCredential(ctx context.Context, name string, c NewCredential) (CredentialTask, error)

	// FindCredential returns the name of the credential whose description has
	// the ending mark, for services that make names up; "" if there is none, or
	// if the service takes the caller's names.
	FindCredential(ctx context.Context, mark string) (string, error)

	// DescribeCredential returns what the service tells of a credential, never
	// its value. An absent one, and a secret that isn't cloud-managed, is class
	// NotFound or Conflict.
	DescribeCredential(ctx context.Context, name string) (Credential, error)

	// CredentialTask tells how far a task is that creation, rotation or deletion
	// returned. A task that the service no longer knows is class NotFound; the
	// caller then describes the credential and decides.
	CredentialTask(ctx context.Context, name, taskID string) (TaskStatus, error)

	// ReadCredential returns the value that works now, also while a rotation is
	// under way. One that can't be read in its present state is class Conflict.
	ReadCredential(ctx context.Context, name string) (CredentialValue, error)

	// RotateCredential makes the service change the value at once. A token, of
	// letters, digits and -, names the rotation: with CredentialProduct.RotatesOnce
	// set, repeating the call with the same token rotates once. Elsewhere the caller
	// looks at the versions before it repeats after an Ambiguous error. While another
	// rotation is under way it is class Conflict or joins that one.
	RotateCredential(ctx context.Context, name, token string) (CredentialTask, error)

	// SetRotation switches the rotation by schedule on or off, or changes it.
	SetRotation(ctx context.Context, name string, r Rotation) error

	// CredentialVersions are the versions that the service tells of, newest
	// first. They differ, in ids or labels, after each rotation.
	CredentialVersions(ctx context.Context, name string) ([]CredentialVersion, error)

	// DeleteCredential removes the credential: after window, or at once when it is
	// 0. With accounts set what it gives access with is removed too, where
	// CredentialProduct.DeletesAccounts says that the service can. An absent one,
	// and one whose deletion is scheduled, is success.
	DeleteCredential(ctx context.Context, name string, window time.Duration, accounts bool) (CredentialTask, error)
}

// CredentialProduct is one kind of managed credential that a service has.
type CredentialProduct struct {
	Name  string // as users give it: "Mysql", "Rds", "RDS-FG"
	Title string // as in sentences
	// Names are other spellings of products that have the same fields.
	Names []string

	// Fields are the parameters of its creation beyond the common ones.
	Fields []CredentialField
	// Check validates a NewCredential beyond what the fields say; its error says
	// what to change and never holds a value of a sensitive field. May be nil.
	Check func(NewCredential) error

	// InstanceRequired is set where a credential belongs to an instance.
	InstanceRequired bool
	// NamePrefix is what names of the type have to begin with: callers' names have it.
	// AssignsName is set where the service makes up the whole name.
	NamePrefix  string
	AssignsName bool
	// InitialValue is set where the service wants the present credentials of an
	// account that is there already. They are handed on once and not kept.
	InitialValue bool

	// ShortestRotation and LongestRotation bound the interval of the schedule;
	// RotationUnit is what it is a multiple of. All 0 where there is no schedule.
	ShortestRotation, LongestRotation, RotationUnit time.Duration
	// SetsBegin is set where the first rotation's time can be chosen.
	SetsBegin bool
	// Rotates is set where a rotation can be asked for, and RotatesOnce where the
	// token keeps a repeated call from rotating again.
	Rotates, RotatesOnce bool

	// Rotating says, as a sentence, which value ReadCredential gives while a
	// rotation is under way, and how long values from before go on working.
	Rotating string

	// DeletesAccounts is set where deletion can remove what the credential gives
	// access with. Deletion says what becomes of it otherwise, as a sentence.
	DeletesAccounts bool
	Deletion        string
	// Window are the recovery windows that a deletion can have.
	Window WindowRule
}

// FieldType says how a field's text is to be read.
type FieldType string

// The types of fields.
const (
	FieldString FieldType = "string"
	FieldInt    FieldType = "int"  // decimal
	FieldBool   FieldType = "bool" // "true" or "false"
	FieldList   FieldType = "list" // a JSON array of strings
	// FieldJSON is JSON, or the compact form that the field's description tells: the
	// text goes to Check and CreateCredential as it was given.
	FieldJSON FieldType = "json"
)

// CredentialField is one parameter of a creation.
type CredentialField struct {
	Name        string
	Type        FieldType
	Required    bool
	Description string
	Allowed     []string // the values it may have; nil for any
}

// IssuerOf returns d as an issuer of credentials; nil if its service has none.
func IssuerOf(d Destination) CredentialIssuer {
	issuer, _ := d.(CredentialIssuer)
	return issuer
}

// CredentialProduct returns the product of that name or other spelling; false if
// the kind has none. Case doesn't matter.
func (k Kind) CredentialProduct(name string) (CredentialProduct, bool) {
	for _, p := range k.Credentials {
		if slices.ContainsFunc(append([]string{p.Name}, p.Names...), func(n string) bool { return strings.EqualFold(n, name) }) {
			return p, true
		}
	}
	return CredentialProduct{}, false
}

// Spelling is the name as the service spells it, for a name of the product in
// any case.
func (p CredentialProduct) Spelling(name string) string {
	for _, n := range p.Names {
		if strings.EqualFold(n, name) {
			return n
		}
	}
	return p.Name
}

// NewCredential is what a credential is created with.
type NewCredential struct {
	Product    string
	InstanceID string // of what the credential is for, "" where there is none
	// Parameters are the product's own fields by name, in the form that their
	// FieldType says; one that isn't given is missing.
	Parameters map[string]string
	// Initial are the present credentials, as JSON, where InitialValue is set.
	Initial sensitive.String

	Description string // with the ownership mark
	Tags        map[string]string
	KMSKeyID    string
	Rotation    Rotation
}

// Rotation is the schedule of a credential.
type Rotation struct {
	Enabled  bool
	Interval time.Duration
	Begin    time.Time // of the first rotation; zero for the service's default
}

// CredentialTask is work that the service goes on with by itself.
type CredentialTask struct {
	// Name is that of the credential, which the service may have made up.
	Name string
	// ID is what CredentialTask asks about; "" when nothing is left to wait for
	// but the state of the credential.
	ID        string
	RequestID string
	// TagsError is set when the credential was made but its tags were not.
	TagsError error
}

// TaskState is how far a task is.
type TaskState string

// The states of a task.
const (
	TaskRunning   TaskState = "running"
	TaskSucceeded TaskState = "succeeded"
	TaskFailed    TaskState = "failed"
)

// TaskStatus is what the service tells of a task.
type TaskStatus struct {
	State   TaskState
	Code    string // the service's error code, if it failed and has one
	Message string // the service's reason, "" if it gives none
}

// CredentialState is where a credential is in its life at the service.
type CredentialState string

// The states of a credential.
const (
	CredentialCreating        CredentialState = "creating"
	CredentialReady           CredentialState = "ready"
	CredentialRotating        CredentialState = "rotating"
	CredentialFailed          CredentialState = "failed" // its creation failed: it holds no value
	CredentialDisabled        CredentialState = "disabled"
	CredentialPendingDeletion CredentialState = "pending_deletion"
)

// Credential is what a service tells of a managed credential.
type Credential struct {
	Name        string
	State       CredentialState
	Type        string // the service's word for the type
	Product     string
	InstanceID  string
	Description string // with the ownership mark
	KMSKeyID    string
	Parameters  map[string]string // as far as the service tells, by field name

	Rotation     Rotation
	LastRotation time.Time // zero if there was none or the service doesn't tell
	NextRotation time.Time // zero if none is scheduled or the service doesn't tell
	// RotationProblem says why the schedule stopped, "" if it didn't.
	RotationProblem string

	CreatedTime  time.Time
	DeletionTime time.Time // when a scheduled deletion falls due; zero if none is
}

// CredentialValue is a value that works.
type CredentialValue struct {
	VersionID string
	Labels    []string
	// Fields are its parts by common names: username, password; access_key_id,
	// access_key_secret; private_key, public_key.
	Fields      map[string]sensitive.String
	CreatedTime time.Time // of the version, zero if the service doesn't tell
}

// CredentialVersion is one value that a credential has or had.
type CredentialVersion struct {
	ID          string
	Username    string // zero if the service doesn't tell
	Labels      []string
	CreatedTime time.Time
}
