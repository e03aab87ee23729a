// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package provider

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// CheckNew tells whether a credential of the product can be created with c: the
// fields by their types, what is common to all products, and Check. The error is
// class Invalid, says what to change, and quotes nothing of c.Initial.
func (p CredentialProduct) CheckNew(c NewCredential) error {
	switch {
	case p.InstanceRequired && c.InstanceID == "":
		return invalidf("product %s needs instance_id, the instance that the credential is for", c.Product)
	case p.InitialValue && !c.Initial.IsSet():
		return invalidf("product %s needs the present credentials of the account in initial_credentials; they are handed on to the cloud once and not kept", c.Product)
	case !p.InitialValue && c.Initial.IsSet():
		return invalidf("product %s takes no initial_credentials: the cloud makes the account itself", c.Product)
	}
	if err := p.checkParameters(c); err != nil {
		return err
	}
	if err := p.CheckRotation(c.Rotation); err != nil {
		return err
	}
	if p.Check == nil {
		return nil
	}
	err := p.Check(c)
	var classified *Error
	if err == nil || errors.As(err, &classified) {
		return err
	}
	return invalidf("%v", err)
}

// FieldNames are the names of the product's own fields, sorted.
func (p CredentialProduct) FieldNames() []string {
	names := make([]string, 0, len(p.Fields))
	for _, f := range p.Fields {
		names = append(names, f.Name)
	}
	slices.Sort(names)
	return names
}

func (p CredentialProduct) checkParameters(c NewCredential) error {
	known := p.FieldNames()
	for _, name := range slices.Sorted(maps.Keys(c.Parameters)) {
		if !slices.Contains(known, name) {
			if len(known) == 0 {
				return invalidf("%s is no parameter of product %s, which has none of its own", name, c.Product)
			}
			return invalidf("%s is no parameter of product %s; it has %s", name, c.Product, strings.Join(known, ", "))
		}
	}
	for _, f := range p.Fields {
		text, given := c.Parameters[f.Name]
		if !given {
			if f.Required {
				return invalidf("product %s needs %s: %s", c.Product, f.Name, f.Description)
			}
			continue
		}
		if err := f.check(text); err != nil {
			return err
		}
	}
	return nil
}

func (f CredentialField) check(text string) error {
	switch f.Type {
	case FieldInt:
		if _, err := strconv.ParseInt(text, 10, 64); err != nil {
			return invalidf("%s: %q isn't a whole number", f.Name, text)
		}
	case FieldBool:
		if text != "true" && text != "false" {
			return invalidf("%s: %q is neither true nor false", f.Name, text)
		}
	case FieldList:
		var items []string
		if json.Unmarshal([]byte(text), &items) != nil {
			return invalidf("%s isn't a list of texts", f.Name)
		}
		for _, item := range items {
			if err := f.allows(item); err != nil {
				return err
			}
		}
		if f.Required && len(items) == 0 {
			return invalidf("%s is empty: %s", f.Name, f.Description)
		}
		return nil
	case FieldString, FieldJSON: // any text
	}
	if f.Required && text == "" {
		return invalidf("%s is empty: %s", f.Name, f.Description)
	}
	return f.allows(text)
}

func (f CredentialField) allows(text string) error {
	if f.Allowed != nil && !slices.Contains(f.Allowed, text) {
		return invalidf("%s: %q isn't possible, allowed are %s", f.Name, text, strings.Join(f.Allowed, ", "))
	}
	return nil
}

// CheckRotation tells whether the product can have the schedule.
func (p CredentialProduct) CheckRotation(r Rotation) error {
	switch {
	case !r.Enabled && r.Interval == 0 && r.Begin.IsZero():
		return nil
	case p.ShortestRotation == 0:
		return invalidf("%s has no rotation by schedule", p.Title)
	case !r.Begin.IsZero() && !p.SetsBegin:
		return invalidf("%s: the time of the first rotation can't be chosen; leave rotation_begin_time out", p.Title)
	case r.Interval == 0 && r.Enabled:
		return invalidf("%s: rotation by schedule needs rotation_frequency, from %s to %s", p.Title, span(p.ShortestRotation), span(p.LongestRotation))
	case r.Interval == 0:
		return nil
	case r.Interval < p.ShortestRotation || r.Interval > p.LongestRotation:
		return invalidf("%s: a rotation every %s, possible are %s to %s", p.Title, span(r.Interval), span(p.ShortestRotation), span(p.LongestRotation))
	case p.RotationUnit > 0 && r.Interval%p.RotationUnit != 0:
		return invalidf("%s: a rotation every %s isn't a multiple of %s", p.Title, span(r.Interval), span(p.RotationUnit))
	}
	return nil
}

// span is a duration as people give it: in days if it is whole ones.
func span(d time.Duration) string {
	if days := d / Days(1); d > 0 && d%Days(1) == 0 {
		if days == 1 {
			return "1 day"
		}
		return strconv.FormatInt(int64(days), 10) + " days"
	}
	text := d.String()
	for _, rest := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, rest) {
			text = strings.TrimSuffix(text, rest[1:])
		}
	}
	return text
}
