// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

// Package huawei emulates Huawei Cloud's Cloud Secret Management Service (CSMS),
// API v1, closely enough that Huawei's SDKs run against it unmodified:
// SDK-HMAC-SHA256 signatures, paths, HTTP statuses, both shapes of error bodies,
// states, versions, stages, tags and limits. Facts are from Huawei's API
// reference (api-dew), the SDK and its comments, and the behaviour that the
// Terraform provider relies on. Where none of them says what happens, a switch
// in [Switches] does, and its zero value is the likeliest choice.
//
// It has the operations for common secrets and for those that the service rotates
// (RDS-FG, GaussDB-FG): their tasks, the agencies, and where templates of functions
// are got. Instead of a function in FunctionGraph the emulator itself writes the new
// password, if there is an agency. A rotation begins and ends when somebody looks
// after the clock has reached its time; so to see what comes by schedule, list the
// secrets with the clock ahead ([emulator.Clock.Ahead]), since signatures have to be
// younger. Faults for [RotationWork] make rotations slow or fail. Legacy secrets (RDS)
// and frozen ones can be seeded. Events, grants, backups, imports, replicas and tokens
// are left out. Beyond what is documented
// it refuses body members that the operation doesn't have, and X-Project-Id and
// X-Security-Token headers that aren't signed, because a mistake in a caller
// would pass unseen otherwise.
//
// A secret belongs to an account and a project; where the neutral types say
// region, this package means the project. Times are whole seconds, shown in
// milliseconds. Every change is stored before it is answered.
package huawei
