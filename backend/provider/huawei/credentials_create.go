// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package huawei

import (
	"context"
	"errors"
	"strings"

	"github.com/huaweicloud/huaweicloud-sdk-go-v3/services/csms/v1/model"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

// creationAdvice is what to do about refusals of a creation, by code.
var creationAdvice = map[string]string{
	"CSMS.0002": "the service doesn't say which: check that instance_id is an instance of this project, that rotation_func_urn exists in its region, " +
		"that the schedule lies between 6 hours and 365 days, and that initial_credentials have the shape that the function reads (initial_format, initial_field)",
	"CSMS.0003": "this product may not be offered in the region; choose another product or destination",
	"CSMS.0004": "the service can't read the request; check rotation_config if it was given",
	"CSMS.0202": "delete secrets that aren't needed, or have the quota raised in the console, then write the credential again",
	"CSMS.0302": "allow csms:secret:create, and kms:cmk:createDataKey on the KMS key, to the destination's user",
}

const adviceAgency = "the agencies that let the service rotate aren't there: write the credential again with create_agency=true, or authorise them in the DEW console"

// CreateCredential implements provider.CredentialIssuer by CreateSecret, and a
// second call for the tags. With create_agency it asks by ShowAgency before, and
// makes the agencies if they are missing; whatever it asks for may be repeated. It
// is done when it is answered.
func (d *destination) CreateCredential(ctx context.Context, name string, c provider.NewCredential) (provider.CredentialTask, error) {
	body, sent, err := d.creation(name, c)
	if err != nil {
		return provider.CredentialTask{}, err
	}
	if c.Parameters[fieldAgency] == "true" {
		if err := d.prepareAgency(ctx, c.Product); err != nil {
			return provider.CredentialTask{}, err
		}
	}
	answer, requestID, err := createSecret.heard(ctx, d, &model.CreateSecretRequest{Body: body}, sent...)
	if err != nil {
		return provider.CredentialTask{}, d.notIssued(ctx, name, c.Product, err)
	}
	task := provider.CredentialTask{Name: name, RequestID: requestID}
	if len(c.Tags) > 0 {
		task.TagsError = d.addTags(ctx, at(answer.Secret).Id, c.Tags)
	}
	return task, nil
}

// creation is the request, and what of it no error may quote.
func (d *destination) creation(name string, c provider.NewCredential) (*model.CreateSecretRequestBody, []provider.Value, error) {
	config, err := newConfig(c)
	if err != nil {
		return nil, nil, invalid(err.Error())
	}
	value, passwords, err := initialValue(c, readConfig(config).subType)
	if err != nil {
		return nil, nil, invalid(err.Error())
	}
	names, err := events(c)
	if err != nil {
		return nil, nil, invalid(err.Error())
	}
	body := &model.CreateSecretRequestBody{Name: name, Description: &c.Description, RotationConfig: &config}
	body.SecretString, body.SecretBinary = fields(value)
	if body.SecretType, err = secretType(c.Product); err != nil {
		return nil, nil, err
	}
	if function := c.Parameters[fieldFunction]; function != "" {
		body.RotationFuncUrn = &function
	}
	if c.Rotation.Enabled {
		every := period(c.Rotation.Interval)
		body.AutoRotation, body.RotationPeriod = &c.Rotation.Enabled, &every
	}
	if len(names) > 0 {
		body.EventSubscriptions = &names
	}
	if c.KMSKeyID != "" {
		body.KmsKeyId = &c.KMSKeyID
	}
	if d.enterprise != "" {
		body.EnterpriseProjectId = &d.enterprise
	}
	return body, append(passwords, value, provider.Text(c.Initial.Reveal())), nil
}

func secretType(product string) (*model.CreateSecretRequestBodySecretType, error) {
	types := model.GetCreateSecretRequestBodySecretTypeEnum()
	for _, t := range []model.CreateSecretRequestBodySecretType{types.RDS_FG, types.GAUSS_DB_FG} {
		if strings.EqualFold(t.Value(), product) {
			return &t, nil
		}
	}
	return nil, invalid("the service makes no credentials of type " + product)
}

// notIssued finds out why a creation was refused, where the code doesn't tell:
// the name is in use, or agencies are missing.
func (d *destination) notIssued(ctx context.Context, name, product string, refusal error) error {
	err := d.taken(ctx, name, refusal)
	class := provider.ClassOf(err)
	if codeOf(err) == "" || class == provider.ClassExists || provider.IsAmbiguous(err) {
		return err
	}
	if unspecific(err) || class == provider.ClassPermission {
		if granted, lookErr := d.agencyGranted(ctx, product); lookErr == nil && !granted {
			return reworded(err, func(message string) string { return message + "; " + adviceAgency })
		}
	}
	return advised(err, creationAdvice)
}

// reworded returns a refusal with other words.
func reworded(refusal error, reword func(string) string) error {
	var e *provider.Error
	if !errors.As(refusal, &e) {
		return refusal
	}
	return because(refusal, e.Class, reword(e.Message))
}

// prepareAgency makes the agencies that a type needs, if they are missing.
func (d *destination) prepareAgency(ctx context.Context, product string) error {
	granted, err := d.agencyGranted(ctx, product)
	if err != nil || granted {
		return err
	}
	request := &model.CreateAgencyRequest{Body: &model.CreateAgencyRequestBody{SecretType: model.GetCreateAgencyRequestBodySecretTypeEnum().RDS_FG}}
	if strings.EqualFold(product, typeGaussDB) {
		request.Body.SecretType = model.GetCreateAgencyRequestBodySecretTypeEnum().GAUSS_DB_FG
	}
	answer, requestID, err := createAgency.heard(ctx, d, request)
	if err != nil {
		return reworded(err, func(message string) string {
			return message + "; the agencies for rotations can be authorised in the DEW console too, then leave create_agency out"
		})
	}
	// A failure of one agency stands in an answer that is a success.
	for _, agency := range at(answer.Agencies) {
		if reason := at(agency.ErrorMsg); reason != "" {
			return &provider.Error{
				Class: provider.ClassPermission, Operation: createAgency.name, RequestID: requestID,
				Message: "agency " + agency.AgencyName + " can't be created: " + createAgency.failed(d).Scrub(reason) +
					"; allow the destination's user to create agencies in IAM, or authorise them in the DEW console and leave create_agency out",
			}
		}
	}
	return nil
}

// agencyGranted asks by ShowAgency, whose answer is a text.
func (d *destination) agencyGranted(ctx context.Context, product string) (bool, error) {
	request := &model.ShowAgencyRequest{SecretType: model.GetShowAgencyRequestSecretTypeEnum().RDS_FG}
	if strings.EqualFold(product, typeGaussDB) {
		request.SecretType = model.GetShowAgencyRequestSecretTypeEnum().GAUSS_DB_FG
	}
	answer, err := showAgency.call(ctx, d, request)
	if err != nil {
		return false, err
	}
	if answer.AgencyGranted == nil {
		return false, showAgency.lacking(d, "word on the agencies")
	}
	return strings.EqualFold(*answer.AgencyGranted, "true"), nil
}
