// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/alibaba"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/control"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/huawei"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/tencent"
)

// ready is the line on standard output.
type ready struct {
	Endpoints map[string]string `json:"endpoints"`
	Control   string            `json:"control,omitempty"`
}

// run serves until ctx is done.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	s, err := parse(args, stderr)
	if err != nil {
		return err
	}
	logger := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: s.level}))
	services, err := openServices(s, logger)
	if err != nil {
		return err
	}

	web := &listeners{failed: make(chan error, 1)}
	defer web.close(context.WithoutCancel(ctx))
	line := ready{Endpoints: make(map[string]string)}
	for name, service := range services {
		if line.Endpoints[name], err = web.serve(ctx, "-"+name, s.address(name), service); err != nil {
			return err
		}
	}
	if s.control != "" {
		if line.Control, err = web.serve(ctx, "-control", s.control, control.NewHandler(services)); err != nil {
			return err
		}
	}
	if err := json.NewEncoder(stdout).Encode(line); err != nil {
		return fmt.Errorf("print the endpoints: %w", err)
	}
	select {
	case <-ctx.Done():
		logger.Info("ending")
		return nil
	case err := <-web.failed:
		return err
	}
}

// address is where the service of a name listens.
func (s settings) address(service string) string {
	return map[string]string{
		tencent.ServiceName: s.tencentSSM,
		alibaba.ServiceName: s.alicloudKMS,
		huawei.ServiceName:  s.huaweiCSMS,
	}[service]
}

// openServices makes the emulated services by name. A further cloud is added
// here and in address.
func openServices(s settings, logger *slog.Logger) (map[string]emulator.Service, error) {
	options := func(service string) emulator.Options {
		o := emulator.Options{Logger: logger.With("service", service), Accounts: s.accounts, RateFactor: float64(s.rates)}
		if s.dataDir != "" {
			o.DataDir = filepath.Join(s.dataDir, service)
		}
		return o
	}
	ssm, err := tencent.New(tencent.Options{Options: options(tencent.ServiceName)})
	if err != nil {
		return nil, err
	}
	csms, err := huawei.New(huawei.Options{Options: options(huawei.ServiceName)})
	if err != nil {
		return nil, err
	}
	kms, err := alibaba.New(alibaba.Options{Options: options(alibaba.ServiceName)})
	if err != nil {
		return nil, err
	}
	return map[string]emulator.Service{
		tencent.ServiceName: ssm,
		alibaba.ServiceName: kms,
		huawei.ServiceName:  csms,
	}, nil
}

// listeners are the HTTP servers of the process.
type listeners struct {
	servers []*http.Server
	failed  chan error // the first failure of a server
}

// serve starts a server on a loopback address and returns its URL. Its requests
// end with ctx.
func (l *listeners) serve(ctx context.Context, flagName, address string, handler http.Handler) (string, error) {
	listener, err := listen(ctx, flagName, address)
	if err != nil {
		return "", err
	}
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	l.servers = append(l.servers, server)
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			select {
			case l.failed <- fmt.Errorf("serve %s: %w", flagName, err):
			default:
			}
		}
	}()
	return "http://" + listener.Addr().String(), nil
}

func listen(ctx context.Context, flagName, address string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("flag %s: %w", flagName, err)
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return nil, fmt.Errorf("flag %s: %q isn't a loopback address; use 127.0.0.1 or [::1], the emulator protects nothing", flagName, host)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("flag %s: %w", flagName, err)
	}
	return listener, nil
}

// close ends all servers. Calls under way get a moment to be answered.
func (l *listeners) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	for _, server := range l.servers {
		if server.Shutdown(ctx) != nil {
			_ = server.Close()
		}
	}
}
