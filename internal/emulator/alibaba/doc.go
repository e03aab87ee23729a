// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

// Package alibaba emulates the secrets of Alibaba Cloud KMS, API version
// 2016-01-20, closely enough that Alibaba's SDKs run against it unmodified: RPC
// calls with parameters in the URL or in a form, HMAC-SHA1 signatures, error
// codes with their HTTP statuses, versions with stage labels, limits, and
// scheduled deletion. Facts are from Alibaba's API reference, the SDKs' comments,
// calls of the Go SDK that were recorded, and what official tools rely on. Where
// none of them says what happens, a switch in [Switches] does, and its zero value
// is the likeliest choice, or the strictest where none is likely.
//
// It has the operations for generic and managed secrets and for tags, and
// DescribeKey, DescribeRegions, DescribeAccountKmsStatus and GetRandomPassword.
// Reading and setting secret policies, XML answers, listing keys and tags of keys
// are left out.
//
// Managed secrets (Rds, RAMCredentials, ECS, Redis, PolarDB) rotate when they are
// told to and by their schedules, on the service's clock. There is no database
// and no server behind them: an account is what a value says. A rotation takes no
// time, and can't fail, unless [Switches] or a fault of the operation "Rotation"
// say otherwise; see [emulator.Faults.StrikeWork].
//
// A secret belongs to an account and a region, which the parameter RegionId
// names; the real service has one endpoint per region instead. Every change is
// stored before it is answered.
//
// As the real service does, an answer SignatureDoesNotMatch quotes the string
// to sign, so it shows every parameter of the call, a secret's value included.
package alibaba
