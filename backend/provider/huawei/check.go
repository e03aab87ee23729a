// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package huawei

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// absentName is shown to learn whether showing is allowed. Nobody makes a
// secret of that name.
const absentName = "cloudsync-check-of-a-secret-that-is-not-there"

// Check implements provider.Checker by showing a secret that isn't there, which
// tells about endpoint, clock, credentials, project and the one permission that
// everything needs, and by listing, which inventories need.
func (d *destination) Check(ctx context.Context) ([]provider.Finding, error) {
	watch := &clockWatch{next: d.transport}
	watched := *d
	watched.transport = watch
	_, err := watched.show(ctx, absentName)
	if provider.IsNotFound(err) {
		err = nil
	}
	if ctx.Err() != nil {
		return nil, interruptedCheck(ctx, err)
	}
	findings := d.accessFindings(watch, err)
	if blocking(err) {
		return findings, nil
	}
	findings = append(findings, permissionFinding("csms:secret:get", "every replication needs it", err))
	_, _, err = d.list(ctx, "", 1)
	if ctx.Err() != nil {
		return nil, interruptedCheck(ctx, err)
	}
	return append(findings, permissionFinding("csms:secret:list", "only the inventory and import need it", err)), nil
}

// interruptedCheck makes sure that the context's error is found, also when the
// context ended between two calls.
func interruptedCheck(ctx context.Context, err error) error {
	if errors.Is(err, ctx.Err()) {
		return err
	}
	return failedCall{provider.Call{Operation: showSecret.name}}.Interrupted(ctx.Err(), false)
}

// blocking tells whether no other call can succeed either.
func blocking(err error) bool {
	class := provider.ClassOf(err)
	return err != nil && class != provider.ClassPermission && class != provider.ClassThrottled
}

// accessFindings say what the first call tells about the destination as such.
func (d *destination) accessFindings(watch *clockWatch, err error) []provider.Finding {
	class := provider.ClassOf(err)
	if blocking(err) && class != provider.ClassAuth {
		return []provider.Finding{refusedFinding("endpoint", err)}
	}
	findings := []provider.Finding{{Check: "endpoint", OK: true, Message: d.endpoint + " answers"}}
	findings = append(findings, watch.findings()...)
	accepted := provider.Finding{Check: "credentials", OK: true, Message: "the service accepts the access key"}
	switch code := codeOf(err); {
	case code == codeProject || code == codeNoProject:
		return append(findings, accepted, refusedFinding(settingProject, err))
	case class == provider.ClassAuth && err != nil:
		return append(findings, refusedFinding("credentials", err))
	case err == nil:
		accepted.Message = "the service accepts the access key for the project"
	}
	return append(findings, accepted)
}

// refusedFinding reports err with the advice on its code.
func refusedFinding(check string, err error) provider.Finding {
	f := provider.Finding{Check: check, Message: err.Error(), Action: provider.ClassOf(err).Action()}
	if errors.As(err, &f.Err) {
		if advice := judge(0, f.Err.Code).advice; advice != "" {
			f.Action = advice
		}
	}
	return f
}

func permissionFinding(action, purpose string, err error) provider.Finding {
	check := "permission " + action
	if err == nil {
		return provider.Finding{Check: check, OK: true, Message: "the credentials may call it"}
	}
	f := refusedFinding(check, err)
	if provider.ClassOf(err) == provider.ClassPermission && judge(0, codeOf(err)).advice == "" {
		f.Action = fmt.Sprintf("allow %s in the access policy of the key's user (%s)", action, purpose)
	}
	return f
}

// maxSkew is how far the gateway lets a caller's clock be off.
const maxSkew = 15 * time.Minute

// clockWatch compares this server's clock with the Date of an answer. The
// gateway has one code for all that may be wrong with a signature.
type clockWatch struct {
	next  http.RoundTripper
	ahead time.Duration
	known bool
}

// RoundTrip implements http.RoundTripper.
func (w *clockWatch) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := w.next.RoundTrip(r)
	if err == nil {
		if date, dateErr := http.ParseTime(answer.Header.Get("Date")); dateErr == nil {
			w.ahead, w.known = time.Since(date), true
		}
	}
	return answer, err
}

func (w *clockWatch) findings() []provider.Finding {
	if !w.known {
		return nil
	}
	f := provider.Finding{Check: "clock", OK: w.ahead.Abs() <= maxSkew, Message: "this server's clock agrees with the endpoint's"}
	if off := w.ahead.Abs().Round(time.Minute); off > 0 {
		direction := "ahead of"
		if w.ahead < 0 {
			direction = "behind"
		}
		f.Message = fmt.Sprintf("this server's clock is %s %s the endpoint's, %s are allowed", off, direction, maxSkew)
	}
	if !f.OK {
		f.Action = "set the clock of this server by NTP"
	}
	return []provider.Finding{f}
}
