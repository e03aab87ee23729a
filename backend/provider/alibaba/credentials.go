// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package alibaba

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/kms"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// previousLabel is the label of the value before the current one.
const previousLabel = "ACSPrevious"

const (
	// firstVersion is the id of a credential's first version. Later ones have the
	// tokens of their rotations, or ids of the service's own.
	firstVersion = "v1"
	// autoText is the name or the value that the service is to make up.
	autoText = "$Auto"
)

// The states of AutomaticRotation.
const (
	rotationEnabled = "Enabled"
	rotationInvalid = "Invalid" // a rotation has failed
)

// Products implements provider.CredentialIssuer without a call: the service has
// none that tells.
func (*destination) Products(ctx context.Context) ([]string, error) {
	if ctx.Err() != nil {
		return nil, failed("").Interrupted(ctx.Err(), false)
	}
	names := make([]string, 0, len(credentialProducts))
	for _, p := range credentialProducts {
		names = append(names, p.Name)
	}
	return names, nil
}

// CreateCredential implements provider.CredentialIssuer by CreateSecret, which has
// done everything when it answers. The name of a RAM credential is the service's.
func (d *destination) CreateCredential(ctx context.Context, name string, n provider.NewCredential) (provider.CredentialTask, error) {
	none := provider.CredentialTask{}
	p, known := Kind.CredentialProduct(n.Product)
	if !known {
		return none, invalid("product " + n.Product + " isn't one of Alibaba Cloud KMS")
	}
	config, err := extendedConfig(p.Name, n, d.region)
	if err != nil {
		return none, invalid(err.Error())
	}
	data := autoText
	if p.InitialValue {
		if data, err = initialLogins(p.Name, n); err != nil {
			return none, invalid(err.Error())
		}
	}
	request := kms.CreateCreateSecretRequest()
	request.SecretName = name
	if p.AssignsName {
		request.SecretName = autoText
	}
	request.VersionId = firstVersion
	request.SecretType = p.Name
	request.SecretData = data
	request.SecretDataType = textType
	request.ExtendedConfig = config
	request.Policy = n.Parameters[fieldPolicy]
	request.Description = n.Description
	request.EncryptionKeyId = n.KMSKeyID
	request.DKMSInstanceId = d.instance
	request.EnableAutomaticRotation = requests.NewBoolean(n.Rotation.Enabled)
	if n.Rotation.Enabled {
		request.RotationInterval = seconds(n.Rotation.Interval)
	}
	if len(n.Tags) > 0 {
		request.Tags = tagList(n.Tags)
	}
	answer, err := call(ctx, d, request, kms.CreateCreateSecretResponse(), initialSecrets(n, data)...)
	switch {
	case err != nil:
		return none, d.advise(err, p, n)
	case answer.SecretName == "":
		return none, failed("CreateSecret").incomprehensible()
	}
	return provider.CredentialTask{Name: answer.SecretName, RequestID: answer.RequestId}, nil
}

func seconds(d time.Duration) string { return strconv.FormatInt(int64(d/time.Second), 10) + "s" }

// FindCredential implements provider.CredentialIssuer by ListSecrets and
// DescribeSecret for each RAM credential, since lists have no descriptions. One
// that isn't to be deleted goes first.
func (d *destination) FindCredential(ctx context.Context, mark string) (string, error) {
	filter, _ := json.Marshal([]map[string]any{{"Key": "SecretType", "Values": []string{productRAM}}}) // texts always encode
	pending := ""
	for page := 1; ; page++ {
		rows, err := d.listSecrets(ctx, page, listPage, string(filter))
		if provider.ClassOf(err) == provider.ClassInvalid && codeOf(err) != "" && len(filter) > 0 {
			filter, page = nil, 0 // the filter is known since 2025
			continue
		}
		if err != nil {
			return "", err
		}
		for _, row := range rows {
			if row.Type != productRAM {
				continue
			}
			found, err := d.Describe(ctx, row.Name)
			switch {
			case provider.IsNotFound(err):
			case err != nil:
				return "", err
			case !strings.HasSuffix(found.Description, mark):
			case found.State == provider.StatePendingDeletion:
				pending = found.Name
			default:
				return found.Name, nil
			}
		}
		if len(rows) < listPage {
			return pending, nil
		}
	}
}

// DescribeCredential implements provider.CredentialIssuer by DescribeSecret. The
// service doesn't tell that a rotation is under way.
func (d *destination) DescribeCredential(ctx context.Context, name string) (provider.Credential, error) {
	answer, _, err := d.describeCredential(ctx, name)
	if err != nil {
		return provider.Credential{}, err
	}
	instance, parameters := describedConfig(answer.SecretType, answer.ExtendedConfig)
	c := provider.Credential{
		Name: name, State: provider.CredentialReady, Type: answer.SecretType, Product: answer.SecretType, InstanceID: instance,
		Description: answer.Description, KMSKeyID: answer.EncryptionKeyId, Parameters: parameters,
		Rotation:     provider.Rotation{Enabled: answer.AutomaticRotation == rotationEnabled, Interval: parseInterval(answer.RotationInterval)},
		LastRotation: parseTime(answer.LastRotationDate),
		CreatedTime:  parseTime(answer.CreateTime),
		DeletionTime: parseTime(answer.PlannedDeleteTime),
	}
	if c.Rotation.Enabled {
		c.NextRotation = parseTime(answer.NextRotationDate)
	}
	if answer.AutomaticRotation == rotationInvalid {
		c.RotationProblem = adviceRotation
	}
	if answer.PlannedDeleteTime != "" {
		c.State = provider.CredentialPendingDeletion
	}
	return c, nil
}

// describeCredential is DescribeSecret for a secret that the service manages.
func (d *destination) describeCredential(ctx context.Context, name string) (*kms.DescribeSecretResponse, http.Header, error) {
	request := kms.CreateDescribeSecretRequest()
	request.SecretName = name
	answer := kms.CreateDescribeSecretResponse()
	header, err := d.exchange(ctx, request, answer)
	switch {
	case err != nil:
		return nil, nil, err
	case answer.SecretName == "":
		return nil, nil, failed("DescribeSecret").incomprehensible()
	case cmp.Or(answer.SecretType, genericType) == genericType:
		return nil, nil, notManaged("DescribeSecret", answer.RequestId)
	}
	return answer, header, nil
}

// notManaged is what a secret is whose values callers write.
func notManaged(operation, requestID string) error {
	return &provider.Error{
		Class: provider.ClassConflict, Operation: operation, RequestID: requestID,
		Message: "it isn't a managed credential but a secret of type " + genericType,
	}
}

// parseInterval reads an interval, as a rule in seconds. What can't be read is 0.
func parseInterval(text string) time.Duration {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, _ := strconv.Atoi(days)
		return provider.Days(n)
	}
	interval, _ := time.ParseDuration(text)
	return interval
}

// ReadCredential implements provider.CredentialIssuer by GetSecretValue of the
// current version. Of two users that one works at any time; a single user's may
// fail for the moment in which its password is reset.
func (d *destination) ReadCredential(ctx context.Context, name string) (provider.CredentialValue, error) {
	none := provider.CredentialValue{}
	request := kms.CreateGetSecretValueRequest()
	request.SecretName = name
	request.VersionStage = currentLabel
	answer, err := call(ctx, d, request, kms.CreateGetSecretValueResponse())
	switch {
	case err != nil:
		return none, d.explainCredential(ctx, name, err)
	case answer.VersionId == "":
		return none, failed("GetSecretValue").incomprehensible()
	case cmp.Or(answer.SecretType, genericType) == genericType:
		return none, notManaged("GetSecretValue", answer.RequestId)
	}
	fields := credentialFields(answer.SecretType, answer.SecretData)
	if fields == nil {
		return none, &provider.Error{
			Class: provider.ClassInternal, Operation: "GetSecretValue", RequestID: answer.RequestId,
			Message: "the value isn't a login of a form that is known for type " + answer.SecretType,
		}
	}
	return provider.CredentialValue{
		VersionID: answer.VersionId, Labels: answer.VersionStages.VersionStage, Fields: fields, CreatedTime: valueTime(answer),
	}, nil
}

// explainCredential finds out what is behind a vague refusal, as explain does: class
// NotFound if the credential is absent, and Conflict if its deletion is scheduled
// or it isn't managed.
func (d *destination) explainCredential(ctx context.Context, name string, refused error) error {
	if !vague(refused) || codeOf(refused) == codeInDeleteWindow {
		return refused
	}
	answer, _, err := d.describeCredential(ctx, name)
	switch {
	case err != nil:
		return err
	case answer.PlannedDeleteTime != "":
		return withMessage(refused, provider.ClassConflict, adviceRestore)
	}
	return refused
}

// SetRotation implements provider.CredentialIssuer by UpdateSecretRotationPolicy.
// The next rotation is an interval after the last one, so it may be due at once.
func (d *destination) SetRotation(ctx context.Context, name string, r provider.Rotation) error {
	if !r.Begin.IsZero() {
		return invalid("the time of the first rotation can't be chosen; the service rotates an interval after the last time")
	}
	request := kms.CreateUpdateSecretRotationPolicyRequest()
	request.SecretName = name
	request.EnableAutomaticRotation = requests.NewBoolean(r.Enabled)
	if r.Enabled {
		request.RotationInterval = seconds(r.Interval)
	}
	if _, err := call(ctx, d, request, kms.CreateUpdateSecretRotationPolicyResponse()); err != nil {
		return d.explainCredential(ctx, name, err)
	}
	return nil
}

// CredentialVersions implements provider.CredentialIssuer by ListSecretVersionIds.
// Times are whole seconds; within one the labels tell what is newer.
func (d *destination) CredentialVersions(ctx context.Context, name string) ([]provider.CredentialVersion, error) {
	found, err := d.Versions(ctx, name)
	if err != nil {
		return nil, err
	}
	versions := make([]provider.CredentialVersion, 0, len(found))
	for _, v := range slices.Backward(found) {
		versions = append(versions, provider.CredentialVersion{ID: v.ID, Labels: v.Labels, CreatedTime: v.CreatedTime})
	}
	rank := func(v provider.CredentialVersion) int {
		switch {
		case slices.Contains(v.Labels, currentLabel):
			return 0
		case slices.Contains(v.Labels, previousLabel):
			return 1
		}
		return 2
	}
	slices.SortStableFunc(versions, func(a, b provider.CredentialVersion) int {
		return cmp.Or(b.CreatedTime.Compare(a.CreatedTime), cmp.Compare(rank(a), rank(b)))
	})
	return versions, nil
}

// DeleteCredential implements provider.CredentialIssuer by DeleteSecret, after a
// look by DescribeSecret, so that no secret is deleted that isn't a credential.
func (d *destination) DeleteCredential(ctx context.Context, name string, window time.Duration, accounts bool) (provider.CredentialTask, error) {
	task := provider.CredentialTask{Name: name}
	if accounts {
		return task, invalid("the service doesn't delete accounts, access keys or logins of servers; delete them where they are")
	}
	switch _, _, err := d.describeCredential(ctx, name); {
	case provider.IsNotFound(err):
		return task, nil
	case err != nil:
		return task, err
	}
	return task, d.Delete(ctx, name, window)
}

var _ provider.CredentialIssuer = (*destination)(nil)
