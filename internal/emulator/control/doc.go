// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

// Package control lets tests in other processes play with emulated clouds: it
// is an HTTP API, and the client of it. It has no authentication and shows the
// values of secrets, so it listens on loopback only, and only on request.
//
// Bodies are JSON, errors are {"error":"..."} with a status of 400 or 404.
// SERVICE is a name from the endpoints that the emulator prints, such as
// tencent-ssm. A secret is named by the query parameters region, name and, for
// another than the example account, account.
//
//	GET    /v1/SERVICE/faults             the faults in force: [{"id":1,"fault":{...},"hits":0}]
//	POST   /v1/SERVICE/faults             add one: {"kind":"drop","operation":"PutSecretValue","after_effect":true,"count":1}
//	DELETE /v1/SERVICE/faults             clear all; calls that hang go on
//	DELETE /v1/SERVICE/faults/ID          clear one
//	GET    /v1/SERVICE/faults/ID/struck   answers once the fault has struck a call
//	GET    /v1/SERVICE/calls              {"total":2,"values_in_url":0,"counts":{"GetSecretValue":2},"throttled":{},"calls":[{...}]}
//	DELETE /v1/SERVICE/calls              forget them
//	GET    /v1/SERVICE/secret?...         one secret as it is stored, values included
//	PUT    /v1/SERVICE/secret             seed one: {"region":"...","name":"...","type":"1","versions":[{"id":"v1","text":"..."}]}
//	GET    /v1/SERVICE/secrets?...        all secrets of a region
//	GET    /v1/SERVICE/clock              {"now":"...","offset":"0s"}
//	PUT    /v1/SERVICE/clock              {"offset":"48h"}
//	POST   /v1/SERVICE/elapse             {"region":"...","duration":"48h"} lets happen what falls due by then; the clock stays
//	GET    /v1/SERVICE/accounts           the access key ids
//	PUT    /v1/SERVICE/accounts           add or replace a key: {"access_key_id":"...","access_key_secret":"...","denied":["DeleteSecret"]}
//	DELETE /v1/SERVICE/accounts/ID        take a key away
//	PUT    /v1/SERVICE/kms-keys           add or replace: {"id":"...","region":"...","disabled":true}
//	GET    /v1/SERVICE/rates              {"factor":0,"documented":[{"per_second":100,"operations":["CreateSecret"]}]}
//	PUT    /v1/SERVICE/rates              {"factor":1} enforces the documented rates, 0.5 half of them, 0 none
//	GET    /v1/SERVICE/switches           what the service does where its documentation is silent
//	PUT    /v1/SERVICE/switches           replace all of them
//
// A fault {"kind":"delay","duration":"40ms"} gives every call that latency until
// it is cleared.
//
// Work that a service does by itself, such as a rotation, is struck by faults that
// name it as their operation; the service's package says which there is. What
// falls due by the clock happens with the next look at it. Since signatures have
// to be young, a test moves the clock on, lists the secrets of the region, and
// moves the clock back.
//
// The fields of a fault are those of [emulator.Fault], its kinds error, http,
// drop, delay, hang and skew.
package control
