// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package tencent

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	tchttp "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/http"
	ssm "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/ssm/v20190923"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

var _ provider.CredentialIssuer = (*destination)(nil)

// Secret types of the service.
const (
	typeProduct = 1
	typeSSHKey  = 2
)

// Products implements provider.CredentialIssuer by DescribeSupportedProducts,
// which tells of databases. A name that no product here has is one to give as the
// product_name of the other databases. Key pairs are made everywhere.
func (d *destination) Products(ctx context.Context) ([]string, error) {
	answer, err := call(ctx, d, (*ssm.Client).DescribeSupportedProductsWithContext, ssm.NewDescribeSupportedProductsRequest())
	if err != nil {
		return nil, err
	}
	var names []string
	for _, product := range answer.Response.Products {
		if name := at(product); name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return append(names, productOther, productSSHKey), nil
}

// CreateCredential implements provider.CredentialIssuer by CreateProductSecret,
// whose work goes on as a flow, and CreateSSHKeyPairSecret, which has done it
// when it answers. Tags are dealt with as Create does.
func (d *destination) CreateCredential(ctx context.Context, name string, c provider.NewCredential) (provider.CredentialTask, error) {
	task, err := d.issue(ctx, name, c)
	if codeOf(err) != codeTagsNotExisted {
		return task, err
	}
	refused := err
	c.Tags = nil
	task, err = d.issue(ctx, name, c)
	if err == nil {
		task.TagsError = refused
	}
	return task, err
}

func (d *destination) issue(ctx context.Context, name string, c provider.NewCredential) (provider.CredentialTask, error) {
	if strings.EqualFold(c.Product, productSSHKey) {
		return d.issueSSHKey(ctx, name, c)
	}
	return d.issueAccount(ctx, name, c)
}

// lateFields are parameters of both creations that the API got in 2025-04 and
// later, after this SDK version.
type lateFields struct {
	KmsHsmClusterId *string `json:",omitempty"` //nolint:revive // the service's name
	EncryptType     *uint64 `json:",omitempty"`
}

func lateFieldsOf(c provider.NewCredential) lateFields {
	late := lateFields{KmsHsmClusterId: optional(c.Parameters[fieldHSMCluster])}
	if n, err := strconv.ParseUint(c.Parameters[fieldEncryptType], 10, 64); err == nil {
		late.EncryptType = &n
	}
	return late
}

// optional is nil for "", which then isn't sent.
func optional(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// accountRequest is the SDK's request with what the API has got since.
type accountRequest struct {
	*ssm.CreateProductSecretRequest
	lateFields
	PrivilegesList []wireUnit // with the names of PostgreSQL
	AccountRemark  *string    `json:",omitempty"`
	AccountType    *string    `json:",omitempty"`
}

//nolint:revive // the parameters of an SDK method, for call
func createAccount(c *ssm.Client, ctx context.Context, request accountRequest) (*ssm.CreateProductSecretResponse, error) {
	request.SetContext(ctx)
	answer := ssm.NewCreateProductSecretResponse()
	return answer, c.Send(request, answer)
}

func (d *destination) issueAccount(ctx context.Context, name string, c provider.NewCredential) (provider.CredentialTask, error) {
	request, err := newAccountRequest(name, c)
	if err != nil {
		return provider.CredentialTask{}, &provider.Error{Class: provider.ClassInvalid, Message: err.Error()}
	}
	answer, err := call(ctx, d, createAccount, request)
	if err != nil {
		return provider.CredentialTask{}, err
	}
	r := answer.Response
	task := provider.CredentialTask{
		Name: name, RequestID: at(r.RequestId),
		TagsError: d.tagsOf(c, tagOutcome{request.GetAction(), r.TagCode, r.TagMsg, r.RequestId}),
	}
	if flow := at(r.FlowID); flow != 0 {
		task.ID = strconv.FormatInt(flow, 10)
	}
	return task, nil
}

func newAccountRequest(name string, c provider.NewCredential) (accountRequest, error) {
	request := accountRequest{
		CreateProductSecretRequest: ssm.NewCreateProductSecretRequest(), lateFields: lateFieldsOf(c),
		AccountRemark: optional(c.Parameters[fieldAccountRemark]), AccountType: optional(c.Parameters[fieldAccountType]),
	}
	product, parse := databases.Spelling(c.Product), parsePrivileges
	if strings.EqualFold(c.Product, productOther) {
		product, parse = c.Parameters[fieldProductName], parseOtherPrivileges
	}
	units, err := parse(c.Parameters[fieldPrivileges])
	if err != nil {
		return request, err
	}
	for _, unit := range units {
		request.PrivilegesList = append(request.PrivilegesList, unit.wire())
	}
	domains, err := domainsOf(c)
	if err != nil {
		return request, err
	}
	for _, domain := range domains {
		request.Domains = append(request.Domains, &domain)
	}
	prefix := c.Parameters[fieldPrefix]
	request.SecretName, request.UserNamePrefix, request.ProductName, request.InstanceID = &name, &prefix, &product, &c.InstanceID
	request.Description, request.KmsKeyId, request.Tags = optional(c.Description), optional(c.KMSKeyID), tagList(c.Tags)
	if c.Rotation.Enabled {
		begin, days := beginOf(c.Rotation), daysOf(c.Rotation)
		request.EnableRotation, request.RotationBeginTime, request.RotationFrequency = &c.Rotation.Enabled, &begin, &days
	}
	return request, nil
}

// keyRequest is the SDK's request with what the API has got since.
type keyRequest struct {
	*ssm.CreateSSHKeyPairSecretRequest
	lateFields
}

//nolint:revive // the parameters of an SDK method, for call
func createKey(c *ssm.Client, ctx context.Context, request keyRequest) (*ssm.CreateSSHKeyPairSecretResponse, error) {
	request.SetContext(ctx)
	answer := ssm.NewCreateSSHKeyPairSecretResponse()
	return answer, c.Send(request, answer)
}

func (d *destination) issueSSHKey(ctx context.Context, name string, c provider.NewCredential) (provider.CredentialTask, error) {
	request := keyRequest{ssm.NewCreateSSHKeyPairSecretRequest(), lateFieldsOf(c)}
	project, err := strconv.ParseInt(c.Parameters[fieldProjectID], 10, 64)
	if err != nil {
		return provider.CredentialTask{}, &provider.Error{Class: provider.ClassInvalid, Message: "project_id isn't a whole number"}
	}
	request.SecretName, request.ProjectId = &name, &project
	request.Description, request.KmsKeyId, request.Tags = optional(c.Description), optional(c.KMSKeyID), tagList(c.Tags)
	request.SSHKeyName = optional(c.Parameters[fieldSSHKeyName])
	answer, err := call(ctx, d, createKey, request)
	if err != nil {
		return provider.CredentialTask{}, err
	}
	r := answer.Response
	return provider.CredentialTask{
		Name: name, RequestID: at(r.RequestId),
		TagsError: d.tagsOf(c, tagOutcome{request.GetAction(), r.TagCode, r.TagMsg, r.RequestId}),
	}, nil
}

// tagsOf is nil unless tags were given and not saved.
func (d *destination) tagsOf(c provider.NewCredential, outcome tagOutcome) error {
	if at(outcome.code) == 0 || len(c.Tags) == 0 {
		return nil
	}
	return d.tagsError(outcome)
}

// FindCredential implements provider.CredentialIssuer: names are the caller's.
func (d *destination) FindCredential(context.Context, string) (string, error) { return "", nil }

// CredentialTask implements provider.CredentialIssuer by DescribeAsyncRequestInfo.
func (d *destination) CredentialTask(ctx context.Context, _, taskID string) (provider.TaskStatus, error) {
	request := ssm.NewDescribeAsyncRequestInfoRequest()
	flow, err := strconv.ParseInt(taskID, 10, 64)
	if err != nil {
		return provider.TaskStatus{}, &provider.Error{Class: provider.ClassNotFound, Message: "the task's id isn't one of the service's"}
	}
	request.FlowID = &flow
	answer, err := call(ctx, d, (*ssm.Client).DescribeAsyncRequestInfoWithContext, request)
	if err != nil {
		return provider.TaskStatus{}, err
	}
	const succeeded, broken = 1, 2 // 0 is running
	switch at(answer.Response.TaskStatus) {
	case succeeded:
		return provider.TaskStatus{State: provider.TaskSucceeded}, nil
	case broken:
		reason := failed(request.GetAction(), d.secrets(nil)...).Scrub(at(answer.Response.Description))
		return provider.TaskStatus{State: provider.TaskFailed, Message: strings.Join(strings.Fields(reason), " ")}, nil
	}
	return provider.TaskStatus{State: provider.TaskRunning}, nil
}

// SetRotation implements provider.CredentialIssuer by UpdateRotationStatus. A
// schedule without a begin starts an interval from now: Tencent's default is now,
// and whether it then rotates at once isn't documented.
func (d *destination) SetRotation(ctx context.Context, name string, r provider.Rotation) error {
	request := ssm.NewUpdateRotationStatusRequest()
	request.SecretName, request.EnableRotation = &name, &r.Enabled
	if r.Enabled {
		begin, days := beginOf(r), daysOf(r)
		request.RotationBeginTime, request.Frequency = &begin, &days
	}
	_, err := call(ctx, d, (*ssm.Client).UpdateRotationStatusWithContext, request)
	return d.settleProduct(ctx, name, err)
}

// RotateCredential implements provider.CredentialIssuer by RotateProductSecret. It
// has no token.
func (d *destination) RotateCredential(ctx context.Context, name, _ string) (provider.CredentialTask, error) {
	request := ssm.NewRotateProductSecretRequest()
	request.SecretName = &name
	answer, err := call(ctx, d, (*ssm.Client).RotateProductSecretWithContext, request)
	if err = d.settleProduct(ctx, name, err); err != nil {
		if codeOf(err) == codeFailedOperation && provider.ClassOf(err) == provider.ClassUnavailable {
			err = withMessage(err, "the service doesn't rotate the credential now; most likely another rotation is under way, see its history")
		}
		return provider.CredentialTask{}, err
	}
	task := provider.CredentialTask{Name: name, RequestID: at(answer.Response.RequestId)}
	if flow := at(answer.Response.FlowID); flow != 0 {
		task.ID = strconv.FormatInt(flow, 10)
	}
	return task, nil
}

// settleProduct looks into a refused call for a product secret: class Conflict if
// the secret is none, or in a state that forbids it, else err as it is.
func (d *destination) settleProduct(ctx context.Context, name string, err error) error {
	if codeOf(err) != codeFailedOperation {
		return err
	}
	s, describeErr := d.Describe(ctx, name)
	switch {
	case describeErr != nil:
		return describeErr
	case s.Type != typeNames[typeProduct]:
		return withMessage(err, "the secret is of type %s; only a product secret, which is a database account, can be rotated", s.Type)
	case s.State != provider.StateEnabled:
		return withMessage(err, "the secret is in state %s, the call needs %s", s.State, provider.StateEnabled)
	}
	return err
}

// CredentialVersions implements provider.CredentialIssuer by
// DescribeRotationHistory, which tells the former values' ids, and the accounts
// too since 2026-07.
func (d *destination) CredentialVersions(ctx context.Context, name string) ([]provider.CredentialVersion, error) {
	request := ssm.NewDescribeRotationHistoryRequest()
	request.SecretName = &name
	answer, err := call(ctx, d, describeHistory, request)
	if codeOf(err) == codeFailedOperation || provider.ClassOf(err) == provider.ClassInvalid {
		return d.onlyVersion(ctx, name, err)
	}
	if err != nil {
		return nil, err
	}
	versions := []provider.CredentialVersion{{ID: currentVersionID, Labels: []string{currentVersionID}}}
	for _, id := range answer.Response.VersionIDs {
		versions = append(versions, provider.CredentialVersion{ID: at(id)})
	}
	for _, account := range answer.Response.accounts() {
		for i := range versions {
			if account.Version == versions[i].ID {
				versions[i].Username, versions[i].CreatedTime = account.AccountName, rotatedTime(account.RotatedTime)
			}
		}
	}
	return versions, nil
}

// onlyVersion is that of a key pair, which has no history.
func (d *destination) onlyVersion(ctx context.Context, name string, refused error) ([]provider.CredentialVersion, error) {
	c, err := d.DescribeCredential(ctx, name)
	switch {
	case err != nil:
		return nil, err
	case c.Product != productSSHKey:
		return nil, refused
	}
	return []provider.CredentialVersion{{ID: c.Parameters[fieldSSHKeyName], CreatedTime: c.CreatedTime}}, nil
}

// rotationHistory is the answer of DescribeRotationHistory with the list that the
// service added later than this SDK version.
type rotationHistory struct {
	*tchttp.BaseResponse
	Response *rotationVersions
}

type rotationVersions struct {
	VersionIDs []*string
	// AccountInfoList is known by the names of its members only, so that nothing
	// in it may spoil the answer.
	AccountInfoList json.RawMessage
}

type rotatedAccount struct {
	AccountName, Version string
	RotatedTime          any // text or seconds
}

func (r *rotationVersions) accounts() []rotatedAccount {
	var list []rotatedAccount
	_ = json.Unmarshal(r.AccountInfoList, &list) // what isn't as expected tells nothing
	return list
}

func rotatedTime(given any) time.Time {
	switch t := given.(type) {
	case string:
		return chinaTime(t)
	case float64:
		return unixTime(uint64(max(t, 0)))
	}
	return time.Time{}
}

//nolint:revive // the parameters of an SDK method, for call
func describeHistory(c *ssm.Client, ctx context.Context, request *ssm.DescribeRotationHistoryRequest) (*rotationHistory, error) {
	request.SetContext(ctx)
	answer := &rotationHistory{BaseResponse: &tchttp.BaseResponse{}}
	return answer, c.Send(request, answer)
}

// zone is that of the service's times where they are text, by its examples.
var zone = time.FixedZone("UTC+8", 8*60*60)

// chinaTime reads such a time; zero for what isn't one.
func chinaTime(text string) time.Time {
	t, err := time.ParseInLocation(time.DateTime, text, zone)
	if err != nil {
		return time.Time{}
	}
	return t.UTC()
}

func beginOf(r provider.Rotation) string {
	begin := r.Begin
	if begin.IsZero() {
		begin = time.Now().Add(r.Interval)
	}
	return begin.In(zone).Format(time.DateTime)
}

func daysOf(r provider.Rotation) int64 { return int64(r.Interval / provider.Days(1)) }
