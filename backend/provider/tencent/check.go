// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package tencent

import (
	"context"
	"errors"
	"fmt"

	tchttp "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/http"
	ssm "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/ssm/v20190923"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// absentName is described to learn whether describing is allowed. Nobody makes
// a secret of that name.
const absentName = "cloudsync-check-of-a-secret-that-is-not-there"

// Check implements provider.Checker by GetServiceStatus, which tells whether
// endpoint and credentials work at all, and one harmless call for each further
// permission that it can try without changing anything.
func (d *destination) Check(ctx context.Context) ([]provider.Finding, error) {
	answer, err := call(ctx, d, getServiceStatus, ssm.NewGetServiceStatusRequest())
	if ctx.Err() != nil {
		return nil, interruptedCheck(ctx, err)
	}
	findings := d.accessFindings(err)
	if blocking(err) {
		return findings, nil
	}
	if err == nil {
		findings = append(findings, answer.Response.findings()...)
	}

	_, err = d.Describe(ctx, absentName)
	if provider.IsNotFound(err) {
		err = nil
	}
	findings = append(findings, permissionFinding("ssm:DescribeSecret", "every replication needs it", err))

	_, err = d.listSecrets(ctx, listPosition{}, 1)
	findings = append(findings, permissionFinding("ssm:ListSecrets", "only the inventory and import need it", err))
	if ctx.Err() != nil {
		return nil, interruptedCheck(ctx, err)
	}
	return findings, nil
}

// interruptedCheck makes sure that the context's error is found, also when the
// context ended between two calls.
func interruptedCheck(ctx context.Context, err error) error {
	if errors.Is(err, ctx.Err()) {
		return err
	}
	return failed("GetServiceStatus").Interrupted(ctx.Err(), false)
}

// blocking tells whether no other call can succeed either.
func blocking(err error) bool {
	class := provider.ClassOf(err)
	return err != nil && class != provider.ClassPermission && class != provider.ClassThrottled
}

// accessFindings say what the first call tells about endpoint and credentials.
func (d *destination) accessFindings(err error) []provider.Finding {
	endpoint := d.endpoint.String()
	if endpoint == "" {
		endpoint = "the public endpoint"
	}
	reached := provider.Finding{Check: "endpoint", OK: true, Message: endpoint + " answers"}
	accepted := provider.Finding{Check: "credentials", OK: true, Message: "the service accepts the access key"}
	switch class := provider.ClassOf(err); {
	case err == nil, class == provider.ClassThrottled:
		return []provider.Finding{reached, accepted}
	case class == provider.ClassAuth:
		return []provider.Finding{reached, refusedFinding("credentials", err)}
	case class == provider.ClassPermission && codeOf(err) == codeNotPurchased:
		return []provider.Finding{reached, accepted, refusedFinding("service", err)}
	case class == provider.ClassPermission:
		return []provider.Finding{reached, accepted, permissionFinding("ssm:GetServiceStatus", "only this check needs it", err)}
	}
	return []provider.Finding{refusedFinding("endpoint", err)}
}

// refusedFinding reports err with the advice on its code.
func refusedFinding(check string, err error) provider.Finding {
	f := provider.Finding{Check: check, Message: err.Error(), Action: provider.ClassOf(err).Action()}
	if errors.As(err, &f.Err) {
		if advice := judge(f.Err.Code).advice; advice != "" {
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
	if provider.ClassOf(err) == provider.ClassPermission && judge(codeOf(err)).advice == "" {
		f.Action = fmt.Sprintf("allow %s in the access policy of the key's account (%s)", action, purpose)
	}
	return f
}

// serviceStatus is the answer of GetServiceStatus with the quota fields that
// the service added in 2024-11, later than this SDK version.
type serviceStatus struct {
	*tchttp.BaseResponse
	Response *serviceStatusFields
}

type serviceStatusFields struct {
	ServiceEnabled *bool
	InvalidType    *int64
	SecretLimit    *int64
	TotalCount     *int64
}

//nolint:revive // the parameters of an SDK method, for call
func getServiceStatus(c *ssm.Client, ctx context.Context, request *ssm.GetServiceStatusRequest) (*serviceStatus, error) {
	request.SetContext(ctx)
	answer := &serviceStatus{BaseResponse: &tchttp.BaseResponse{}}
	return answer, c.Send(request, answer)
}

// Values of InvalidType.
const (
	notActivated = 0
	inArrears    = 2
	released     = 3
)

func (s *serviceStatusFields) findings() []provider.Finding {
	service := provider.Finding{Check: "service", OK: at(s.ServiceEnabled), Message: "Secrets Manager is active in this account"}
	if !service.OK {
		service.Message, service.Action = "Secrets Manager isn't usable in this account", adviceActivate
		switch {
		case s.InvalidType == nil:
		case *s.InvalidType == notActivated:
			service.Message, service.Action = "Secrets Manager isn't activated in this account", "activate it in the Tencent Cloud console; KMS has to be active before"
		case *s.InvalidType == inArrears:
			service.Message, service.Action = "Secrets Manager is suspended because the account is overdue", "settle the account; the secrets are released a week after the suspension"
		case *s.InvalidType == released:
			service.Message, service.Action = "Secrets Manager's resources were released after the account was overdue", "settle the account and activate the service again, then sync everything"
		}
	}
	findings := []provider.Finding{service}
	if limit := at(s.SecretLimit); limit > 0 && s.TotalCount != nil {
		findings = append(findings, quotaFinding(limit, *s.TotalCount))
	}
	return findings
}

func quotaFinding(limit, used int64) provider.Finding {
	f := provider.Finding{Check: "quota", OK: used < limit, Message: fmt.Sprintf("%d of %d secrets are in use", used, limit)}
	if !f.OK {
		f.Action = provider.ClassLimit.Action()
	}
	return f
}
