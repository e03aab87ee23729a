// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package provider

import "time"

// The methods of the contract that change something at the service.
const (
	MethodCreate         = "Create"
	MethodPutVersion     = "PutVersion"
	MethodSetDescription = "SetDescription"
	MethodDelete         = "Delete"
	MethodOverwrite      = "Overwrite"
	MethodDeleteVersion  = "DeleteVersion"
	MethodEnable         = "Enable"
	MethodDisable        = "Disable"
	MethodRestore        = "Restore"
	MethodMoveCurrent    = "MoveCurrent"
	MethodChangeTags     = "ChangeTags"
	MethodChangeKey      = "ChangeKey"
)

// Change is a use of a method, as far as the service's calls depend on it.
type Change struct {
	Method     string
	Window     time.Duration // of Delete
	SetTags    int           // how many, of Create and ChangeTags
	RemoveTags int           // how many, of ChangeTags
}

// Operations are the service's names of the calls that a change takes when nothing
// goes wrong, in order; calls that only read are left out. Without a table of the
// kind's own it is the method.
func (k Kind) Operations(c Change) []string {
	if k.OperationsOf == nil {
		return []string{c.Method}
	}
	return k.OperationsOf(c)
}

// Named is a table by method, for services where most methods are one call.
func Named(names map[string]string, c Change) []string {
	if name, found := names[c.Method]; found {
		return []string{name}
	}
	return nil
}

// Repeated is an operation once for every chunk of n things.
func Repeated(operation string, n, chunk int) []string {
	var operations []string
	for ; n > 0; n -= chunk {
		operations = append(operations, operation)
	}
	return operations
}
