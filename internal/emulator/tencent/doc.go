// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

// Package tencent emulates Tencent Cloud Secrets Manager (SSM), API version
// 2019-09-23, closely enough that Tencent's SDKs run against it unmodified:
// TC3-HMAC-SHA256 signatures, the response envelope, strict parameter types,
// error codes, states, versions and limits. Facts are from Tencent's API
// reference (product 1140, international 1078), the SDK's comments and the
// behaviour that official tools rely on. Where none of them says what happens,
// a switch in [Switches] does, and its zero value is the likeliest choice.
//
// It has the operations for custom secrets, for product secrets, whose value
// the service makes and rotates, and for SSH key pairs. A product secret is made
// and rotated by a flow: DescribeAsyncRequestInfo tells how far it is, the first
// looks at it find it running, and faults for the operations Creation, Rotation
// and Deletion make it slow on the service's clock, hold it up or let it fail. A
// schedule rotates by that clock too. There are no databases and no servers
// behind, so nothing tells an instance that exists from one that doesn't.
// Creating API key and Redis secrets, GET requests and signature v1 are left
// out.
//
// The cloud's Tag service, API version 2018-08-13, is at the same address, for
// the tags of secrets. A call is for it if its host begins with "tag." or, where
// the host doesn't tell, if it is signed for it.
//
// A secret belongs to an account and a region. Every change is stored before it
// is answered.
package tencent
