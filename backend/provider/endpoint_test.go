// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package provider_test

import (
	"crypto/tls"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
)

func TestEndpoints(t *testing.T) {
	for text, want := range map[string]string{ // want with a space is a part of the refusal
		"":                                  "",
		"ssm.tencentcloudapi.com":           "https://ssm.tencentcloudapi.com",
		"https://ssm.tencentcloudapi.com/":  "https://ssm.tencentcloudapi.com",
		"https://kms.internal:8443":         "https://kms.internal:8443",
		"HTTPS://kms.internal":              "https://kms.internal",
		"http://127.0.0.1:8080":             "http://127.0.0.1:8080",
		"http://127.3.2.1":                  "http://127.3.2.1",
		"http://[::1]:8080":                 "http://[::1]:8080",
		"http://localhost:8080":             "http://localhost:8080",
		"127.0.0.1:8080":                    "https://127.0.0.1:8080",
		"http://10.0.0.1":                   "plain http is allowed",
		"http://kms.internal":               "plain http is allowed",
		"http://localhost.evil.example":     "plain http is allowed",
		"http://127.0.0.1.evil.example":     "plain http is allowed",
		"http://127.1":                      "plain http is allowed",
		"http://0.0.0.0:80":                 "plain http is allowed",
		"ftp://127.0.0.1":                   "scheme must be https",
		"https://host/path":                 "no path or query",
		"https://host?query":                "no path or query",
		"https://host#fragment":             "no path or query",
		"https://user:pass-word@host":       "holds a user name",
		"https://":                          "isn't a URL",
		"https://:8080":                     "isn't a URL",
		"https://ho st":                     "isn't a URL",
		"https://host:port":                 "isn't a URL",
		"https://%zz":                       "isn't a URL",
		"https://host:":                     "isn't a URL",
		"https://host:65536":                "isn't a URL",
		"https://host%C3%BC":                "isn't a URL",
		"http://[::1%25lo]:1":               "isn't a URL",
		"https://a,b":                       "isn't a URL",
		"https://user:pass-word@host:port/": "isn't a URL",
	} {
		got, err := provider.ParseEndpoint(text)
		if strings.Contains(want, " ") {
			refused(t, "endpoint "+text, err, want)
			if err != nil && strings.Contains(err.Error(), "pass-word") {
				t.Errorf("endpoint %s: the refusal repeats the password", text)
			}
			continue
		}
		if err != nil || got.String() != want || got.IsZero() != (want == "") {
			t.Errorf("endpoint %q: %q, error %v, want %q", text, got, err, want)
		}
	}
}

func FuzzParseEndpoint(f *testing.F) {
	for _, seed := range []string{"host", "https://host:1", "http://[::1%25lo]:1", "http://127.0.0.1@evil", "//x", "http:\\\\x", "[::ffff:127.0.0.1]"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := provider.ParseEndpoint(text)
		if err != nil {
			if provider.ClassOf(err) != provider.ClassInvalid || !got.IsZero() {
				t.Errorf("%q: %v with error %v", text, got, err)
			}
			return
		}
		if got.IsZero() {
			if text != "" {
				t.Errorf("%q is taken for no endpoint", text)
			}
			return
		}
		// What a client sends to is what was checked.
		u, err := url.Parse(got.String() + "/")
		if err != nil || u.Host != got.Host || u.Scheme != got.Scheme || u.User != nil || u.Path != "/" {
			t.Fatalf("%q gives %q, which reads as %+v, %v", text, got, u, err)
		}
		if got.Scheme == "http" && u.Hostname() != "localhost" {
			if addr, err := netip.ParseAddr(u.Hostname()); err != nil || !addr.IsLoopback() {
				t.Errorf("%q gives plain http to %s", text, u.Hostname())
			}
		}
		again, err := provider.ParseEndpoint(got.String())
		if err != nil || again != got {
			t.Errorf("%q gives %q, which gives %q, %v", text, got, again, err)
		}
	})
}

func TestTransport(t *testing.T) {
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	reach := func(t *testing.T, ca string) error {
		t.Helper()
		transport, err := provider.NewTransport(ca)
		if err != nil {
			t.Fatal(err)
		}
		defer transport.CloseIdleConnections()
		if transport.TLSClientConfig.MinVersion != tls.VersionTLS12 || transport.TLSClientConfig.InsecureSkipVerify {
			t.Error("TLS is weaker than it should be")
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := transport.RoundTrip(r)
		if err != nil {
			return err
		}
		return answer.Body.Close()
	}

	t.Run("a CA of its own is trusted", func(t *testing.T) {
		if err := reach(t, ca); err != nil {
			t.Error(err)
		}
	})
	t.Run("an unknown CA isn't", func(t *testing.T) {
		if err := reach(t, ""); err == nil {
			t.Error("the call succeeded")
		}
	})
	t.Run("a ca_cert without a certificate is refused", func(t *testing.T) {
		_, err := provider.NewTransport("not PEM")
		refused(t, "ca_cert", err, "no PEM certificate")
	})
}
