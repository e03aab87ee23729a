// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/auth/credentials"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/kms"
)

// readAlibaba takes the credentials from the variables that Alibaba's own tools
// use, and the version with the label ACSCurrent when none is named. Text ends
// with a line feed that isn't part of the value; bytes, which travel as base64,
// don't.
func readAlibaba(ctx context.Context, r request) ([]byte, error) {
	id, key := os.Getenv("ALIBABA_CLOUD_ACCESS_KEY_ID"), os.Getenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET")
	if id == "" || key == "" {
		return nil, errors.New("no credentials; set ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET")
	}
	var keys credentials.CredentialsProvider = credentials.NewStaticAKCredentialsProvider(id, key)
	if token := os.Getenv("ALIBABA_CLOUD_SECURITY_TOKEN"); token != "" {
		keys = credentials.NewStaticSTSCredentialsProvider(id, key, token)
	}
	settings := sdk.NewConfig().WithScheme("HTTPS").WithTimeout(timeout)
	settings.Transport = within{ctx}
	domain := "kms." + r.region + ".aliyuncs.com"
	if r.endpoint != "" {
		u, err := url.Parse(r.endpoint)
		if err != nil || u.Host == "" {
			return nil, fmt.Errorf("endpoint %q isn't a URL such as https://kms.example.com", r.endpoint)
		}
		settings.WithScheme(strings.ToUpper(u.Scheme))
		domain = u.Host
	}
	client, err := kms.NewClientWithOptions(r.region, settings, keys)
	if err != nil {
		return nil, err
	}
	client.Domain = domain

	get := kms.CreateGetSecretValueRequest()
	get.SecretName = r.name
	if get.VersionId = r.version; r.version == "" {
		get.VersionStage = "ACSCurrent"
	}
	answer, err := client.GetSecretValue(get)
	if err != nil {
		return nil, err
	}
	if answer.SecretDataType == "binary" {
		return base64.StdEncoding.DecodeString(answer.SecretData)
	}
	return []byte(answer.SecretData + "\n"), nil
}
