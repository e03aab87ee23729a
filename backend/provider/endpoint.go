// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package provider

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Endpoint is where a destination's calls go. The zero Endpoint stands for the
// cloud's public one.
type Endpoint struct {
	Scheme string // "https", or "http" on loopback
	Host   string // host or host:port
}

// IsZero tells whether the cloud's public endpoint is meant.
func (e Endpoint) IsZero() bool { return e.Host == "" }

// String returns the endpoint as a URL, "" for the zero one.
func (e Endpoint) String() string {
	if e.IsZero() {
		return ""
	}
	return e.Scheme + "://" + e.Host
}

// ParseEndpoint reads an endpoint: a URL without path, or a bare host, which
// means https. Plain http is accepted for loopback addresses only, where the
// request never leaves the machine. "" gives the zero Endpoint.
func ParseEndpoint(text string) (Endpoint, error) {
	if text == "" {
		return Endpoint{}, nil
	}
	full := text
	if !strings.Contains(full, "://") {
		full = "https://" + full
	}
	u, err := url.Parse(full)
	switch {
	case err != nil || !isHost(u.Hostname()) || !isPort(u):
		// The text may hold a password, so it isn't repeated.
		return Endpoint{}, invalidf("the endpoint isn't a URL or host name")
	case u.User != nil:
		return Endpoint{}, invalidf("the endpoint holds a user name; credentials have fields of their own")
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return Endpoint{}, invalidf("endpoint %s://%s: only scheme, host and port may be given, no path or query", u.Scheme, u.Host)
	case u.Scheme != "https" && u.Scheme != "http":
		return Endpoint{}, invalidf("endpoint %s://%s: the scheme must be https", u.Scheme, u.Host)
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return Endpoint{}, invalidf("endpoint %s://%s: plain http is allowed for loopback addresses only, because credentials and values would travel readable; use https", u.Scheme, u.Host)
	}
	return Endpoint{Scheme: u.Scheme, Host: u.Host}, nil
}

// isHost tells whether host is a DNS name or an IP address. The URL syntax
// allows more, which would read differently when it is written again.
func isHost(host string) bool {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.Zone() == ""
	}
	for i := range len(host) {
		if !isAlphanumeric(host[i]) && strings.IndexByte(".-_", host[i]) < 0 {
			return false
		}
	}
	return host != ""
}

// isPort tells whether the port is a number or not given at all.
func isPort(u *url.URL) bool {
	if u.Port() == "" {
		return !strings.HasSuffix(u.Host, ":")
	}
	_, err := strconv.ParseUint(u.Port(), 10, 16)
	return err == nil
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

// maxIdlePerHost keeps connections of parallel calls for reuse. Go's default of
// 2 makes nearly every call of a burst open one.
const maxIdlePerHost = 64

// NewTransport returns a transport for the calls of one destination: TLS 1.2 or
// newer, trusting caPEM in addition to the system's roots when it isn't empty.
// Proxies are taken from the environment. It bounds dialling and the wait for
// an answer's header; the bound of a whole call is its context. The caller
// closes its idle connections when it is no longer used.
func NewTransport(caPEM string) (*http.Transport, error) {
	tlsConfig := &tls.Config{MinVersion: tls.VersionTLS12}
	if caPEM != "" {
		roots, err := x509.SystemCertPool()
		if err != nil {
			roots = x509.NewCertPool()
		}
		if !roots.AppendCertsFromPEM([]byte(caPEM)) {
			return nil, invalidf("ca_cert holds no PEM certificate")
		}
		tlsConfig.RootCAs = roots
	}
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:       tlsConfig,
		ForceAttemptHTTP2:     true,
		MaxIdleConns:          4 * maxIdlePerHost,
		MaxIdleConnsPerHost:   maxIdlePerHost,
		IdleConnTimeout:       30 * time.Second, // shorter than any server's, so that few calls meet a closed connection
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: 30 * time.Second,
	}, nil
}
