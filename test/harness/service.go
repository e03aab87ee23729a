// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package harness

import (
	"maps"
	"slices"
	"strings"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/alibaba"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/huawei"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/tencent"
)

// Service is a kind of cloud service, with what the tests have to know of it.
type Service struct {
	Type        string // of its destinations, and the emulator's name of it
	Destination string // the one that [Start] configures, as secrets name it
	Region      string

	settings    map[string]any // of the destination, that only this kind has
	scope       string         // what the emulator keeps secrets by
	separator   string         // in remote names, where the secret has a slash
	current     string         // version id or stage label of what readers get
	credentials credentials

	namesVersions bool // callers choose the ids of versions, so that v3 is Vault's version 3
}

// credentials are the variables in which the cloud's own tools expect a key.
type credentials struct{ id, secret, token string }

// The services.
var (
	Tencent = Service{
		Type: tencent.ServiceName, Destination: tencent.ServiceName + "/gz", Region: "ap-guangzhou",
		scope: "ap-guangzhou", separator: "_", current: "SSM_Current",
		credentials:   credentials{"TENCENTCLOUD_SECRET_ID", "TENCENTCLOUD_SECRET_KEY", "TENCENTCLOUD_TOKEN"},
		namesVersions: true,
	}
	Alibaba = Service{
		Type: alibaba.ServiceName, Destination: alibaba.ServiceName + "/hz", Region: "cn-hangzhou",
		scope: "cn-hangzhou", separator: "/", current: "ACSCurrent",
		credentials:   credentials{"ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET", "ALIBABA_CLOUD_SECURITY_TOKEN"},
		namesVersions: true,
	}
	Huawei = Service{
		Type: huawei.ServiceName, Destination: huawei.ServiceName + "/bj", Region: "cn-north-4",
		settings: map[string]any{"project_id": huawei.ExampleProjectID},
		scope:    huawei.ExampleProjectID, separator: "_", current: "SYSCURRENT",
		credentials: credentials{"HUAWEICLOUD_SDK_AK", "HUAWEICLOUD_SDK_SK", "HUAWEICLOUD_SDK_SECURITY_TOKEN"},
	}
)

// Services are all of them.
var Services = []Service{Tencent, Alibaba, Huawei}

// Destination is the destination that [Start] configures when no service is named.
var Destination = Tencent.Destination

// RemoteName is what a secret is called there, as long as its name has letters,
// digits and slashes alone.
func (s Service) RemoteName(secret string) string {
	return strings.ReplaceAll(secret, "/", s.separator)
}

func (s Service) ref(name string) emulator.Ref { return emulator.Ref{Region: s.scope, Name: name} }

// isCurrent tells whether readers who name no version get this one.
func (s Service) isCurrent(v emulator.Version) bool {
	return v.ID == s.current || slices.Contains(v.Labels, s.current)
}

// currentText is the text that readers get who name no version, "" if there is
// none.
func (s Service) currentText(secret emulator.Secret) string {
	for _, version := range secret.Versions {
		if s.isCurrent(version) {
			return version.Text
		}
	}
	return ""
}

// destination is what a destination of the service is written with.
func (s Service) destination(endpoint string, a emulator.Account) map[string]any {
	settings := map[string]any{
		"region": s.Region, "endpoint": endpoint,
		"access_key_id": a.AccessKeyID, "access_key_secret": a.AccessKeySecret, "security_token": a.SecurityToken,
	}
	maps.Copy(settings, s.settings)
	return settings
}
