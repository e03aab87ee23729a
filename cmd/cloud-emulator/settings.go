// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/huawei"
)

const usage = `cloud-emulator is a local stand-in for the secret managers of the clouds, for
tests and for trying things out without an account. It speaks the real wire
protocols, so that the clouds' own SDKs run against it unmodified, and enforces
their signatures, limits, states and error codes. It listens on loopback only.

When it is ready it prints one line of JSON on standard output:

  {"endpoints":{"alicloud-kms":"http://127.0.0.1:40001","tencent-ssm":...},"control":"http://127.0.0.1:40002"}

and logs to standard error: one line per call, never a value. SIGINT and SIGTERM
end it.

Huawei Cloud CSMS has the projects %s and
%s.

Without -credentials there is one account, which works on emulators only:
  access key id      %s
  access key secret  %s

The file of -credentials has the access keys, with their permissions:
  {"accounts":[{"access_key_id":"...","access_key_secret":"...","denied":["DeleteSecret"]}]}
Further members of an account: "security_token" and "token_expires" (RFC 3339)
for a temporary key, "account_id" (digits) for secrets of its own.

Flags:
`

// settings are what the flags say.
type settings struct {
	tencentSSM, control, dataDir string
	alicloudKMS, huaweiCSMS      string
	level                        slog.Level
	accounts                     []emulator.Account
	rates                        rateFactor
}

// rateFactor is the flag -rates.
type rateFactor float64

// Names of rate factors.
const (
	ratesOff        = "off"
	ratesDocumented = "documented"
)

// String implements flag.Value.
func (f *rateFactor) String() string {
	switch *f {
	case 0:
		return ratesOff
	case 1:
		return ratesDocumented
	}
	return strconv.FormatFloat(float64(*f), 'g', -1, 64)
}

// Set implements flag.Value.
func (f *rateFactor) Set(text string) error {
	switch text {
	case ratesOff:
		*f = 0
	case ratesDocumented:
		*f = 1
	default:
		factor, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return fmt.Errorf("it must be %s, %s or a factor of the documented rates", ratesOff, ratesDocumented)
		}
		*f = rateFactor(factor)
	}
	return nil
}

// parse reads the flags and the credentials file. It returns flag.ErrHelp after
// printing the help.
func parse(args []string, output io.Writer) (settings, error) {
	var s settings
	var credentials string
	flags := flag.NewFlagSet("cloud-emulator", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // the whole help would hide what is wrong
	flags.StringVar(&s.tencentSSM, "tencent-ssm", "127.0.0.1:0", "listen `address` of Tencent Cloud SSM; port 0 takes a free one")
	flags.StringVar(&s.alicloudKMS, "alicloud-kms", "127.0.0.1:0", "listen `address` of Alibaba Cloud KMS")
	flags.StringVar(&s.huaweiCSMS, "huawei-csms", "127.0.0.1:0", "listen `address` of Huawei Cloud CSMS")
	flags.StringVar(&s.control, "control", "", "listen `address` of the control API, by which tests inject faults and see stored values (default off)")
	flags.StringVar(&s.dataDir, "data-dir", "", "`directory` that keeps the state, so that it survives a kill (default: in memory)")
	flags.StringVar(&credentials, "credentials", "", "JSON `file` with the access keys (default: the example account)")
	flags.Var(&s.rates, "rates", "`rate` of calls above which they are refused as the clouds do: off, documented, or a factor of the documented rates such as 0.5")
	flags.TextVar(&s.level, "log-level", slog.LevelInfo, "`level` of logs: debug, info, warn or error; calls are logged at info")
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		example := emulator.ExampleAccount()
		_, _ = fmt.Fprintf(output, usage, huawei.ExampleProjectID, huawei.OtherExampleProjectID, example.AccessKeyID, example.AccessKeySecret)
		flags.SetOutput(output)
		flags.PrintDefaults()
		return s, err
	}
	if err != nil {
		return s, fmt.Errorf("%w, see -h", err)
	}
	if flags.NArg() > 0 {
		return s, fmt.Errorf("unexpected argument %q: there are flags only, see -h", flags.Arg(0))
	}
	if credentials != "" {
		s.accounts, err = readAccounts(credentials)
	}
	return s, err
}

func readAccounts(path string) ([]emulator.Account, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the credentials: %w", err)
	}
	defer func() { _ = file.Close() }()
	var content struct {
		Accounts []emulator.Account `json:"accounts"`
	}
	decoder := json.NewDecoder(file)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&content); err != nil {
		return nil, fmt.Errorf("credentials file %s: %w", path, err)
	}
	if len(content.Accounts) == 0 {
		return nil, fmt.Errorf("credentials file %s: it has no accounts", path)
	}
	return content.Accounts, nil
}
