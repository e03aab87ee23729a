// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

// errNotFound answers 404.
var errNotFound = errors.New("not found")

// answer handles one request to one service; its result is sent as JSON.
type answer func(emulator.Service, *http.Request) (any, error)

// Calls is what a service was asked.
type Calls struct {
	Total       int             `json:"total"`
	ValuesInURL int             `json:"values_in_url"` // calls with a secret's value in their URL
	Counts      map[string]int  `json:"counts"`        // by operation
	Throttled   map[string]int  `json:"throttled"`     // calls over a documented rate, by operation
	Calls       []emulator.Call `json:"calls"`         // the latest, oldest first
}

// Clock is a service's time.
type Clock struct {
	Now    time.Time `json:"now,omitzero"`
	Offset string    `json:"offset"` // as in "48h"
}

// Elapsed is time that the secrets of a region are shown to have passed.
type Elapsed struct {
	Account  string `json:"account,omitempty"`
	Region   string `json:"region"`
	Duration string `json:"duration"` // as in "48h"
}

// Rates are the documented rates of a service, and how they are enforced.
type Rates struct {
	Factor     float64         `json:"factor"` // of the documented rates; 0 enforces none
	Documented []emulator.Rate `json:"documented,omitempty"`
}

// NewHandler returns the control API of services by their names.
func NewHandler(services map[string]emulator.Service) http.Handler {
	mux := http.NewServeMux()
	for pattern, run := range map[string]answer{
		"GET /v1/{service}/faults":             listFaults,
		"POST /v1/{service}/faults":            addFault,
		"DELETE /v1/{service}/faults":          clearFaults,
		"DELETE /v1/{service}/faults/{id}":     clearFault,
		"GET /v1/{service}/faults/{id}/struck": awaitFault,
		"GET /v1/{service}/calls":              readCalls,
		"DELETE /v1/{service}/calls":           resetCalls,
		"GET /v1/{service}/secret":             findSecret,
		"PUT /v1/{service}/secret":             seedSecret,
		"GET /v1/{service}/secrets":            listSecrets,
		"GET /v1/{service}/clock":              readClock,
		"PUT /v1/{service}/clock":              setClock,
		"POST /v1/{service}/elapse":            elapse,
		"GET /v1/{service}/accounts":           listAccounts,
		"PUT /v1/{service}/accounts":           putAccount,
		"DELETE /v1/{service}/accounts/{id}":   removeAccount,
		"PUT /v1/{service}/kms-keys":           putKMSKey,
		"GET /v1/{service}/rates":              readRates,
		"PUT /v1/{service}/rates":              enforceRates,
		"GET /v1/{service}/switches":           readSwitches,
		"PUT /v1/{service}/switches":           setSwitches,
	} {
		mux.Handle(pattern, handle(services, run))
	}
	return mux
}

func handle(services map[string]emulator.Service, run answer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Origin") != "" {
			http.Error(w, `{"error":"web pages have no access"}`, http.StatusForbidden)
			return
		}
		service, ok := services[r.PathValue("service")]
		if !ok {
			respond(w, nil, fmt.Errorf("service %q isn't emulated here", r.PathValue("service")))
			return
		}
		result, err := run(service, r)
		respond(w, result, err)
	})
}

func respond(w http.ResponseWriter, result any, err error) {
	status := http.StatusOK
	switch {
	case errors.Is(err, errNotFound):
		status = http.StatusNotFound
	case err != nil:
		status = http.StatusBadRequest
	}
	if err != nil {
		result = map[string]string{"error": err.Error()}
	}
	if result == nil {
		result = struct{}{}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(result)
}

// read decodes a request body of a known shape; misspelt members are errors.
func read[T any](r *http.Request) (T, error) {
	var body T
	decoder := json.NewDecoder(http.MaxBytesReader(nil, r.Body, emulator.MaxBody))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&body); err != nil {
		return body, fmt.Errorf("read the request body: %w", err)
	}
	return body, nil
}

func listFaults(s emulator.Service, _ *http.Request) (any, error) { return s.Core().Faults.List(), nil }

func addFault(s emulator.Service, r *http.Request) (any, error) {
	fault, err := read[emulator.Fault](r)
	if err != nil {
		return nil, err
	}
	return s.Core().Faults.Add(fault)
}

func clearFaults(s emulator.Service, _ *http.Request) (any, error) {
	s.Core().Faults.ClearAll()
	return nil, nil
}

func clearFault(s emulator.Service, r *http.Request) (any, error) {
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil || !s.Core().Faults.Clear(id) {
		return nil, fmt.Errorf("fault %s: %w", r.PathValue("id"), errNotFound)
	}
	return nil, nil
}

func awaitFault(s emulator.Service, r *http.Request) (any, error) {
	id, _ := strconv.Atoi(r.PathValue("id")) // there is no fault 0
	rule, ok := s.Core().Faults.Find(id)
	if !ok {
		return nil, fmt.Errorf("fault %s: %w", r.PathValue("id"), errNotFound)
	}
	select {
	case <-rule.Struck:
		return nil, nil
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

func readCalls(s emulator.Service, _ *http.Request) (any, error) {
	calls := s.Core().Calls
	return Calls{Total: calls.Total(), ValuesInURL: calls.ValuesInURL(), Counts: calls.Counts(), Throttled: calls.Throttled(), Calls: calls.List()}, nil
}

func resetCalls(s emulator.Service, _ *http.Request) (any, error) {
	s.Core().Calls.Reset()
	return nil, nil
}

func findSecret(s emulator.Service, r *http.Request) (any, error) {
	q := r.URL.Query()
	ref := emulator.Ref{Account: q.Get("account"), Region: q.Get("region"), Name: q.Get("name")}
	secret, ok := s.Find(ref)
	if !ok {
		return nil, fmt.Errorf("secret %q in region %q: %w", ref.Name, ref.Region, errNotFound)
	}
	return secret, nil
}

func seedSecret(s emulator.Service, r *http.Request) (any, error) {
	secret, err := read[emulator.Secret](r)
	if err != nil {
		return nil, err
	}
	return nil, s.Seed(secret)
}

func listSecrets(s emulator.Service, r *http.Request) (any, error) {
	q := r.URL.Query()
	return s.List(q.Get("account"), q.Get("region")), nil
}

func readClock(s emulator.Service, _ *http.Request) (any, error) {
	clock := s.Core().Clock
	return Clock{Now: clock.Now(), Offset: clock.Offset().String()}, nil
}

func setClock(s emulator.Service, r *http.Request) (any, error) {
	clock, err := read[Clock](r)
	if err != nil {
		return nil, err
	}
	offset, err := time.ParseDuration(clock.Offset)
	if err != nil {
		return nil, fmt.Errorf("offset of the clock: %w", err)
	}
	s.Core().Clock.SetOffset(offset)
	return nil, nil
}

func elapse(s emulator.Service, r *http.Request) (any, error) {
	elapsed, err := read[Elapsed](r)
	if err != nil {
		return nil, err
	}
	d, err := time.ParseDuration(elapsed.Duration)
	if err != nil || d < 0 {
		return nil, fmt.Errorf("duration %q that elapses: it must be one such as 48h", elapsed.Duration)
	}
	s.Core().Clock.Ahead(d, func() { s.List(elapsed.Account, elapsed.Region) })
	return nil, nil
}

func listAccounts(s emulator.Service, _ *http.Request) (any, error) {
	return s.Core().Accounts.IDs(), nil
}

func putAccount(s emulator.Service, r *http.Request) (any, error) {
	account, err := read[emulator.Account](r)
	if err != nil {
		return nil, err
	}
	return nil, s.Core().Accounts.Put(account)
}

func removeAccount(s emulator.Service, r *http.Request) (any, error) {
	if !s.Core().Accounts.Remove(r.PathValue("id")) {
		return nil, fmt.Errorf("access key %q: %w", r.PathValue("id"), errNotFound)
	}
	return nil, nil
}

func putKMSKey(s emulator.Service, r *http.Request) (any, error) {
	key, err := read[emulator.KMSKey](r)
	if err != nil {
		return nil, err
	}
	s.Core().KMSKeys.Put(key)
	return nil, nil
}

func readRates(s emulator.Service, _ *http.Request) (any, error) {
	rates := s.Core().Rates
	return Rates{Factor: rates.Factor(), Documented: rates.Documented()}, nil
}

func enforceRates(s emulator.Service, r *http.Request) (any, error) {
	var body struct {
		Factor *float64 `json:"factor"`
	}
	raw, err := read[json.RawMessage](r)
	if err != nil {
		return nil, err
	}
	if err := emulator.DecodeStrict(raw, &body); err != nil {
		return nil, fmt.Errorf("read the rates: %w", err)
	}
	if body.Factor == nil {
		return nil, errors.New("read the rates: factor must be given, 0 for none and 1 for those documented")
	}
	return nil, s.Core().Rates.Enforce(*body.Factor)
}

func readSwitches(s emulator.Service, _ *http.Request) (any, error) {
	switched, ok := s.(emulator.Switched)
	if !ok {
		return nil, nil
	}
	return switched.Switches(), nil
}

func setSwitches(s emulator.Service, r *http.Request) (any, error) {
	raw, err := read[json.RawMessage](r)
	if err != nil {
		return nil, err
	}
	switched, ok := s.(emulator.Switched)
	if !ok {
		return nil, fmt.Errorf("switches: %w", errNotFound)
	}
	return nil, switched.SetSwitches(raw)
}
