// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package alibaba

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/services/kms"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// absentName is described to learn whether endpoint and credentials work.
// Nobody makes a secret of that name.
const absentName = "cloudsync-check-of-a-secret-that-is-not-there"

// Check implements provider.Checker by describing a secret that isn't there, and
// by one harmless call for each further thing that can be tried without changing
// anything. DescribeAccountKmsStatus isn't used: an account may call it once a
// second, and the other calls tell the same.
func (d *destination) Check(ctx context.Context) ([]provider.Finding, error) {
	at, err := d.probe(ctx)
	if ctx.Err() != nil {
		return nil, interruptedCheck(ctx, err)
	}
	findings := d.accessFindings(at, err)
	if blocking(err) {
		return findings, nil
	}

	_, err = d.listSecrets(ctx, 1, 1, "")
	findings = append(findings, permissionFinding("kms:ListSecrets", "only the inventory and import need it", err))
	if d.instance != "" && ctx.Err() == nil {
		findings = append(findings, d.instanceFinding(ctx))
	}
	if ctx.Err() != nil {
		return nil, interruptedCheck(ctx, err)
	}
	return findings, nil
}

// probe makes the first call. It returns the service's time, the zero one if the
// answer has none, and no error if the secret is absent as it should be.
func (d *destination) probe(ctx context.Context) (time.Time, error) {
	request := kms.CreateDescribeSecretRequest()
	request.SecretName = absentName
	header, err := d.exchange(ctx, request, kms.CreateDescribeSecretResponse())
	if provider.IsNotFound(err) {
		err = nil
	}
	at, _ := http.ParseTime(header.Get("Date"))
	return at, err
}

// interruptedCheck makes sure that the context's error is found, also when the
// context ended between two calls.
func interruptedCheck(ctx context.Context, err error) error {
	if errors.Is(err, ctx.Err()) {
		return err
	}
	return failed("DescribeSecret").Interrupted(ctx.Err(), false)
}

// blocking tells whether no other call can succeed either.
func blocking(err error) bool {
	class := provider.ClassOf(err)
	return err != nil && class != provider.ClassThrottled && (class != provider.ClassPermission || advised(err))
}

// advised tells whether a code has an advice of its own. Among those of class
// Permission it is then about the account as a whole.
func advised(err error) bool {
	v, _ := judge("DescribeSecret", codeOf(err))
	return v.advice != ""
}

// accessFindings say what the first call tells about endpoint, clock and
// credentials.
func (d *destination) accessFindings(at time.Time, err error) []provider.Finding {
	findings := []provider.Finding{{Check: "endpoint", OK: true, Message: d.endpoint.String() + " answers"}}
	if onInstanceGateway(d.endpoint) {
		findings[0] = provider.Finding{Check: "endpoint", Message: "the endpoint is the gateway of one KMS instance, which gives values and takes no changes", Action: "give the shared one, kms.<region>.aliyuncs.com or kms-vpc.<region>.aliyuncs.com"}
	}
	if !at.IsZero() {
		findings = append(findings, clockFinding(time.Since(at)))
	}
	accepted := provider.Finding{Check: "credentials", OK: true, Message: "the service accepts the access key"}
	if d.token.Reveal() != "" {
		accepted.Message = "the service accepts the temporary access key and its security token"
	}
	describing := func(err error) provider.Finding {
		return permissionFinding("kms:DescribeSecret", "every replication needs it", err)
	}
	switch class := provider.ClassOf(err); {
	case err == nil:
		return append(findings, accepted, describing(nil))
	case class == provider.ClassThrottled:
		return append(findings, accepted)
	case class == provider.ClassAuth:
		return append(findings, refusedFinding("credentials", err))
	case class == provider.ClassPermission && advised(err):
		return append(findings, accepted, refusedFinding("service", err))
	case class == provider.ClassPermission:
		return append(findings, accepted, describing(err))
	}
	return []provider.Finding{refusedFinding("endpoint", err)}
}

// clockFinding reports on the clock by how far it is ahead of the service's. The
// service refuses calls from 15 minutes.
func clockFinding(ahead time.Duration) provider.Finding {
	const tolerance = 5 * time.Minute
	if ahead.Abs() < tolerance {
		return provider.Finding{Check: "clock", OK: true, Message: "the clock of this server agrees with the service's"}
	}
	side := "ahead of"
	if ahead < 0 {
		side = "behind"
	}
	return provider.Finding{
		Check:   "clock",
		Message: fmt.Sprintf("the clock of this server is %s %s the service's", ahead.Abs().Round(time.Second), side),
		Action:  "set the clock by NTP; calls are refused when it is about 15 minutes off",
	}
}

// refusedFinding reports err with the advice on its code.
func refusedFinding(check string, err error) provider.Finding {
	f := provider.Finding{Check: check, Message: err.Error(), Action: provider.ClassOf(err).Action()}
	if errors.As(err, &f.Err) {
		v, _ := judge(f.Err.Operation, f.Err.Code)
		f.Action = cmp.Or(v.advice, f.Action)
	}
	return f
}

func permissionFinding(action, purpose string, err error) provider.Finding {
	check := "permission " + action
	if err == nil {
		return provider.Finding{Check: check, OK: true, Message: "the credentials may call it"}
	}
	f := refusedFinding(check, err)
	if provider.ClassOf(err) == provider.ClassPermission && !advised(err) {
		f.Action = fmt.Sprintf("allow %s in the RAM policy of these credentials (%s)", action, purpose)
	}
	return f
}

// instanceFinding reports on the KMS instance that new secrets are made in. No
// replication needs the call, so it may be denied.
func (d *destination) instanceFinding(ctx context.Context) provider.Finding {
	const check = "KMS instance"
	request := kms.CreateGetKmsInstanceRequest()
	request.KmsInstanceId = d.instance
	answer, err := call(ctx, d, request, kms.CreateGetKmsInstanceResponse())
	status := answer.KmsInstance.Status
	v, _ := judge(request.GetActionName(), codeOf(err))
	switch {
	case err != nil && v.class != provider.ClassPermission && v.advice != adviceEndpoint:
		return refusedFinding(check, err)
	case err != nil || status == "":
		return provider.Finding{Check: check, OK: true, Message: "its state isn't known, because kms:GetKmsInstance can't be called; nothing else needs that"}
	case status != "Connected":
		return provider.Finding{Check: check, Message: "the KMS instance is in state " + status, Action: adviceInstance}
	}
	return provider.Finding{Check: check, OK: true, Message: "the KMS instance is enabled"}
}
