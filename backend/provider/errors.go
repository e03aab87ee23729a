// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package provider

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Class says what kind of failure an error is, and so what can be done. Every
// error has exactly one.
type Class string

// The classes. What is done about each is in classRules.
const (
	ClassAuth        Class = "auth"        // the service doesn't accept the credentials
	ClassPermission  Class = "permission"  // it does, but they may not do this
	ClassThrottled   Class = "throttled"   // too many calls
	ClassUnavailable Class = "unavailable" // network, time-out, fault of the service
	ClassNotFound    Class = "not_found"   // secret or version absent
	ClassExists      Class = "exists"      // the name to create is taken
	ClassConflict    Class = "conflict"    // the remote is in a state or at a version that forbids this
	ClassOwnership   Class = "ownership"   // the remote isn't this mount's
	ClassLimit       Class = "limit"       // a quota is used up
	ClassInvalid     Class = "invalid"     // the service refuses the request as such
	ClassKMS         Class = "kms"         // the key is missing, unusable or forbidden
	ClassInternal    Class = "internal"    // an answer nobody expected, or our fault
)

// classRule is what follows from a class.
type classRule struct {
	recovers bool   // may end by itself: try again with backoff
	lingers  bool   // needs a person, who needn't tell us: try again now and then
	action   string // what a person does about it
}

var classRules = map[Class]classRule{
	ClassAuth:        {false, true, "correct the credentials of the destination; it is then tried again by itself"},
	ClassPermission:  {false, true, "allow the call in the cloud's access policy, then sync the secret"},
	ClassThrottled:   {true, false, "nothing: it is tried again more slowly"},
	ClassUnavailable: {true, false, "nothing if the service is down for a moment; otherwise check endpoint, network and proxy of the destination"},
	ClassNotFound:    {true, false, "nothing: the replica is looked at again and made anew"},
	ClassExists:      {true, false, "nothing: the remote secret is looked at before the next try"},
	ClassConflict:    {false, true, "look at the remote secret; decide with resume if it is ahead of Vault, otherwise sync the secret when it is as it should be"},
	ClassOwnership:   {false, false, "take it over by an import with adopt=true if it is this secret's; otherwise choose another remote_name, or remove or rename the remote secret, then sync the secret"},
	ClassLimit:       {false, true, "raise the quota at the cloud or delete what isn't needed there, then sync the secret"},
	ClassInvalid:     {false, false, "change the secret or its settings as the message says"},
	ClassKMS:         {false, true, "make the KMS key usable for the destination's credentials, or choose another, then sync the secret"},
	ClassInternal:    {true, false, "if it lasts, report it with code and request id"},
}

// Classes are all classes, sorted.
func Classes() []Class { return slices.Sorted(maps.Keys(classRules)) }

// Recovers tells whether an error of this class may end by itself, so that
// trying again makes sense.
func (c Class) Recovers() bool {
	rule, ok := classRules[c]
	return !ok || rule.recovers
}

// Lingers tells whether an error of this class, which a person has to do
// something about, is worth trying again now and then all the same.
func (c Class) Lingers() bool { return classRules[c].lingers }

// Action is what a person can do about an error of this class.
func (c Class) Action() string { return classRules[c].action }

// Error is a failed remote call, or a refusal before one. Its text names
// operation, code and request id, and never holds a value or a credential:
// whoever makes one passes foreign text through [sensitive.Scrub].
type Error struct {
	Class     Class
	Operation string // the service's name of the call, e.g. "CreateSecret"; "" if none was made
	Code      string // the service's error code
	RequestID string // the service's id of the call, for its support
	Message   string // what happened, in the service's words or ours

	// Ambiguous is set when the call may have taken effect all the same.
	Ambiguous bool
	// RetryAfter is the service's hint when to come back; 0 if it gave none.
	RetryAfter time.Duration

	cause error
}

// Error returns one line: operation, message, code and request id.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Operation != "" {
		b.WriteString(e.Operation + ": ")
	}
	if e.Message != "" {
		b.WriteString(e.Message)
	} else {
		b.WriteString(string(e.Class))
	}
	var details []string
	if e.Code != "" {
		details = append(details, "code "+e.Code)
	}
	if e.RequestID != "" {
		details = append(details, "request id "+e.RequestID)
	}
	if len(details) > 0 {
		fmt.Fprintf(&b, " (%s)", strings.Join(details, ", "))
	}
	return b.String()
}

// Unwrap returns the cause, if there is one that is safe to show.
func (e *Error) Unwrap() error { return e.cause }

// Because sets the cause, so that errors.Is finds context errors, and returns e.
// The cause's text must be free of secrets: never a *url.Error of a signed URL.
func (e *Error) Because(cause error) *Error {
	e.cause = cause
	return e
}

// Partly marks the error of a call as ambiguous if calls before it, of the same
// method, have had their effect.
func Partly(done bool, err error) error {
	var e *Error
	if !done || !errors.As(err, &e) {
		return err
	}
	changed := *e
	changed.Ambiguous = true
	return &changed
}

// ClassOf returns the class of err: ClassInternal for an error that has none.
func ClassOf(err error) Class {
	var e *Error
	if errors.As(err, &e) {
		return e.Class
	}
	return ClassInternal
}

// IsNotFound tells whether err says that the secret or version is absent.
func IsNotFound(err error) bool { return err != nil && ClassOf(err) == ClassNotFound }

// IsAmbiguous tells whether the failed call may have taken effect. An error
// that doesn't come from a provider counts as ambiguous.
func IsAmbiguous(err error) bool {
	var e *Error
	if errors.As(err, &e) {
		return e.Ambiguous
	}
	return err != nil
}
