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

	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/auth/basic"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/config"
	csms "github.com/huaweicloud/huaweicloud-sdk-go-v3/services/csms/v1"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/services/csms/v1/model"
)

// readHuawei takes the credentials from the variables that Huawei's own tools
// use. Text ends with a line feed that isn't part of the value; bytes don't.
func readHuawei(ctx context.Context, r request) ([]byte, error) {
	id, key := os.Getenv("HUAWEICLOUD_SDK_AK"), os.Getenv("HUAWEICLOUD_SDK_SK")
	switch {
	case id == "" || key == "":
		return nil, errors.New("no credentials; set HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK")
	case r.project == "":
		return nil, errors.New("-project must be given: the id of the project that has the secret")
	}
	endpoint := cmp.Or(r.endpoint, "https://kms."+r.region+".myhuaweicloud.com") // KMS and CSMS have one host
	if u, err := url.Parse(endpoint); err != nil || u.Host == "" {
		return nil, fmt.Errorf("endpoint %q isn't a URL such as https://kms.example.com", r.endpoint)
	}
	keys, err := basic.NewCredentialsBuilder().WithAk(id).WithSk(key).
		WithSecurityToken(os.Getenv("HUAWEICLOUD_SDK_SECURITY_TOKEN")).WithProjectId(r.project).SafeBuild()
	if err != nil {
		return nil, err
	}
	// Without a user agent the SDK keeps an id of this machine in the home
	// directory, and sends it.
	settings := config.DefaultHttpConfig().WithUserAgent("cloud-read").WithHttpRoundTripper(within{ctx})
	client, err := csms.CsmsClientBuilder().WithEndpoint(endpoint).WithCredential(keys).WithHttpConfig(settings).SafeBuild()
	if err != nil {
		return nil, err
	}

	answer, err := csms.NewCsmsClient(client).ShowSecretVersion(&model.ShowSecretVersionRequest{
		SecretName: r.name, VersionId: cmp.Or(r.version, "latest"),
	})
	switch {
	case err != nil:
		return nil, err
	case answer.Version == nil:
		return nil, errors.New("the answer holds no version")
	case answer.Version.SecretBinary != nil && *answer.Version.SecretBinary != "":
		return base64.StdEncoding.DecodeString(*answer.Version.SecretBinary)
	case answer.Version.SecretString == nil:
		return nil, errors.New("the answer holds no value")
	}
	return []byte(*answer.Version.SecretString + "\n"), nil
}
