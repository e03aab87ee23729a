// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package control

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

// Client plays with one service of an emulator in another process. Each method
// makes one request and is bounded by its context alone. It is safe for
// concurrent use.
type Client struct{ base string }

// NewClient returns a client of the service that the emulator at controlURL has
// under that name. Both are in the line that the emulator prints.
func NewClient(controlURL, service string) *Client {
	return &Client{base: controlURL + "/v1/" + url.PathEscape(service) + "/"}
}

// AddFault puts a fault in force. The rule's Struck is nil; use AwaitFault.
func (c *Client) AddFault(ctx context.Context, f emulator.Fault) (emulator.Rule, error) {
	var rule emulator.Rule
	err := c.do(ctx, http.MethodPost, "faults", f, &rule)
	return rule, err
}

// AwaitFault returns once the fault has struck a call.
func (c *Client) AwaitFault(ctx context.Context, id int) error {
	return c.do(ctx, http.MethodGet, "faults/"+strconv.Itoa(id)+"/struck", nil, nil)
}

// Faults lists the faults in force.
func (c *Client) Faults(ctx context.Context) ([]emulator.Rule, error) {
	var rules []emulator.Rule
	err := c.do(ctx, http.MethodGet, "faults", nil, &rules)
	return rules, err
}

// ClearFault takes one fault away; calls that hang by it go on.
func (c *Client) ClearFault(ctx context.Context, id int) error {
	return c.do(ctx, http.MethodDelete, "faults/"+strconv.Itoa(id), nil, nil)
}

// ClearFaults takes every fault away.
func (c *Client) ClearFaults(ctx context.Context) error {
	return c.do(ctx, http.MethodDelete, "faults", nil, nil)
}

// Calls returns what the service was asked since the last reset.
func (c *Client) Calls(ctx context.Context) (Calls, error) {
	var calls Calls
	err := c.do(ctx, http.MethodGet, "calls", nil, &calls)
	return calls, err
}

// ResetCalls forgets the calls.
func (c *Client) ResetCalls(ctx context.Context) error {
	return c.do(ctx, http.MethodDelete, "calls", nil, nil)
}

// Find returns a secret as it is stored, values included, and whether there is
// one.
func (c *Client) Find(ctx context.Context, ref emulator.Ref) (emulator.Secret, bool, error) {
	q := url.Values{"account": {ref.Account}, "region": {ref.Region}, "name": {ref.Name}}
	var secret emulator.Secret
	err := c.do(ctx, http.MethodGet, "secret?"+q.Encode(), nil, &secret)
	if errors.Is(err, errNotFound) {
		return emulator.Secret{}, false, nil
	}
	return secret, err == nil, err
}

// List returns the secrets of a region, ordered by name. Account "" is the
// example account.
func (c *Client) List(ctx context.Context, account, region string) ([]emulator.Secret, error) {
	q := url.Values{"account": {account}, "region": {region}}
	var secrets []emulator.Secret
	err := c.do(ctx, http.MethodGet, "secrets?"+q.Encode(), nil, &secrets)
	return secrets, err
}

// Seed stores a secret as somebody else would have made it.
func (c *Client) Seed(ctx context.Context, s emulator.Secret) error {
	return c.do(ctx, http.MethodPut, "secret", s, nil)
}

// SetClockOffset moves the service's time.
func (c *Client) SetClockOffset(ctx context.Context, offset time.Duration) error {
	return c.do(ctx, http.MethodPut, "clock", Clock{Offset: offset.String()}, nil)
}

// Elapse lets happen by itself to the secrets of a region what falls due within d:
// rotations by schedule, the end of slow work, deletions. The clock stays, so that
// callers needn't know. Account "" is the example account.
func (c *Client) Elapse(ctx context.Context, account, region string, d time.Duration) error {
	return c.do(ctx, http.MethodPost, "elapse", Elapsed{Account: account, Region: region, Duration: d.String()}, nil)
}

// PutAccount adds an access key or replaces the one with its id.
func (c *Client) PutAccount(ctx context.Context, a emulator.Account) error {
	return c.do(ctx, http.MethodPut, "accounts", a, nil)
}

// RemoveAccount takes an access key away.
func (c *Client) RemoveAccount(ctx context.Context, accessKeyID string) error {
	return c.do(ctx, http.MethodDelete, "accounts/"+url.PathEscape(accessKeyID), nil, nil)
}

// PutKMSKey adds a KMS key or replaces the one with its id.
func (c *Client) PutKMSKey(ctx context.Context, k emulator.KMSKey) error {
	return c.do(ctx, http.MethodPut, "kms-keys", k, nil)
}

// EnforceRates makes the service refuse what is over so many times its
// documented rates; 0 ends it.
func (c *Client) EnforceRates(ctx context.Context, factor float64) error {
	return c.do(ctx, http.MethodPut, "rates", map[string]float64{"factor": factor}, nil)
}

// Rates returns the documented rates and how they are enforced.
func (c *Client) Rates(ctx context.Context) (Rates, error) {
	var rates Rates
	err := c.do(ctx, http.MethodGet, "rates", nil, &rates)
	return rates, err
}

// SetLatency makes every call of the service take so much longer until the
// faults are cleared. Calls don't wait for each other.
func (c *Client) SetLatency(ctx context.Context, latency time.Duration) error {
	_, err := c.AddFault(ctx, emulator.Fault{Kind: emulator.Delay, Duration: latency})
	return err
}

// SetSwitches replaces all switches of the service by those of its own type,
// e.g. tencent.Switches.
func (c *Client) SetSwitches(ctx context.Context, switches any) error {
	return c.do(ctx, http.MethodPut, "switches", switches, nil)
}

// do makes one request; a nil body or result has none.
func (c *Client) do(ctx context.Context, method, path string, body, result any) error {
	var content bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&content).Encode(body); err != nil {
			return fmt.Errorf("control %s %s: encode: %w", method, path, err)
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, &content)
	if err != nil {
		return fmt.Errorf("control %s %s: %w", method, path, err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("control %s %s: %w", method, path, err)
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Errorf("control %s %s: %w", method, path, err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("control %s %s: %w", method, path, refusal(response, answer))
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(answer, result)
}

func refusal(response *http.Response, answer []byte) error {
	var told struct{ Error string }
	_ = json.Unmarshal(answer, &told) // what isn't JSON is shown by its status
	if response.StatusCode == http.StatusNotFound {
		return fmt.Errorf("%s: %w", cmp.Or(told.Error, response.Status), errNotFound)
	}
	return errors.New(cmp.Or(told.Error, response.Status))
}
