// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common"
	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/profile"
	ssm "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/ssm/v20190923"
)

// tencentCurrent is where the current value of a replica is by default: SSM has
// no label for it, readers name a version.
const tencentCurrent = "SSM_Current"

// readTencent takes the credentials from the variables that Tencent's own tools
// use. Text ends with a line feed that isn't part of the value; bytes don't.
func readTencent(ctx context.Context, r request) ([]byte, error) {
	id, key := os.Getenv("TENCENTCLOUD_SECRET_ID"), os.Getenv("TENCENTCLOUD_SECRET_KEY")
	if id == "" || key == "" {
		return nil, errors.New("no credentials; set TENCENTCLOUD_SECRET_ID and TENCENTCLOUD_SECRET_KEY")
	}
	settings := profile.NewClientProfile()
	if r.endpoint != "" {
		u, err := url.Parse(r.endpoint)
		if err != nil || u.Host == "" {
			return nil, fmt.Errorf("endpoint %q isn't a URL such as https://ssm.example.com", r.endpoint)
		}
		settings.HttpProfile.Scheme = strings.ToUpper(u.Scheme)
		settings.HttpProfile.Endpoint = u.Host
	}
	client, err := ssm.NewClient(common.NewTokenCredential(id, key, os.Getenv("TENCENTCLOUD_TOKEN")), r.region, settings)
	if err != nil {
		return nil, err
	}

	get := ssm.NewGetSecretValueRequest()
	get.SecretName = &r.name
	get.VersionId = common.StringPtr(cmp.Or(r.version, tencentCurrent))
	answer, err := client.GetSecretValueWithContext(ctx, get)
	if err != nil {
		return nil, err
	}
	if binary := answer.Response.SecretBinary; binary != nil && *binary != "" {
		return base64.StdEncoding.DecodeString(*binary)
	}
	if answer.Response.SecretString == nil {
		return nil, errors.New("the answer holds no value")
	}
	return []byte(*answer.Response.SecretString + "\n"), nil
}
