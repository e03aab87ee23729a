// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

// Command cloud-read reads a secret as an application in a cloud does: with the
// cloud's own SDK and its own credentials, and without Vault. It shows what a
// replica looks like to those who use it, and knows nothing of the plugin.
//
//	cloud-read -cloud tencent-ssm -region ap-guangzhou -name team-a_db
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"
)

// timeout bounds the whole read.
const timeout = 30 * time.Second

// request is what to read and where.
type request struct {
	region   string
	endpoint string // a URL, "" for the cloud's public endpoint of the region
	project  string // id, of Huawei Cloud only
	name     string // of the secret
	version  string // "" for the one that holds the current value
}

// clouds says by type of destination how a secret is read there.
var clouds = map[string]func(context.Context, request) ([]byte, error){
	"tencent-ssm":  readTencent,
	"alicloud-kms": readAlibaba,
	"huawei-csms":  readHuawei,
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "cloud-read: %v\n", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	var r request
	flags := flag.NewFlagSet("cloud-read", flag.ContinueOnError)
	known := strings.Join(slices.Sorted(maps.Keys(clouds)), ", ")
	cloud := flags.String("cloud", "", "the cloud service: "+known)
	flags.StringVar(&r.region, "region", "", "region of the secret")
	flags.StringVar(&r.endpoint, "endpoint", "", "URL of the service, if it isn't the public one")
	flags.StringVar(&r.project, "project", "", "id of the project that has the secret (huawei-csms only)")
	flags.StringVar(&r.name, "name", "", "name of the secret in the cloud")
	flags.StringVar(&r.version, "version", "", "id of the version (default: the one with the current value)")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return nil
	case err != nil:
		return err
	}
	read, ok := clouds[*cloud]
	switch {
	case !ok:
		return fmt.Errorf("cloud %q is unknown; choose -cloud among %s", *cloud, known)
	case r.region == "" || r.name == "":
		return errors.New("-region and -name must be given")
	case flags.NArg() > 0:
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	value, err := read(ctx, r)
	if err != nil {
		return fmt.Errorf("%s: read %s: %w", *cloud, r.name, err)
	}
	_, err = os.Stdout.Write(value)
	return err
}

// within is a transport for those SDKs whose calls take no context.
type within struct{ ctx context.Context } //nolint:containedctx // the program makes one call

// RoundTrip implements http.RoundTripper.
func (w within) RoundTrip(r *http.Request) (*http.Response, error) {
	return http.DefaultTransport.RoundTrip(r.WithContext(w.ctx))
}
