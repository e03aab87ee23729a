// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package harness

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Egress is the way from the nodes of Vault to an emulated cloud. It passes
// calls on as they are and notes from which node each came: the one whose
// plugin process has the connection, by /proc. A call goes on when its caller
// dies, as one does that is on the wire already.
type Egress struct {
	tb     testing.TB
	cloud  *Emulator
	nodes  []*Vault
	server *httptest.Server

	mu    sync.Mutex // over what follows
	open  int        // calls under way
	calls []EgressCall
}

// EgressCall is a call that was answered, or could not be.
type EgressCall struct {
	Node       string // "" when the process that made it couldn't be found
	Begin, End time.Time
}

// callerKey is the context key of the node at the other end of a connection.
type callerKey struct{}

// StartEgress starts the way from these nodes to a cloud.
func StartEgress(tb testing.TB, cloud *Emulator, nodes ...*Vault) *Egress {
	tb.Helper()
	target, err := url.Parse(cloud.endpoint)
	if err != nil {
		tb.Fatalf("parse the endpoint of the cloud: %v", err)
	}
	e := &Egress{tb: tb, cloud: cloud, nodes: nodes}
	proxy := &httputil.ReverseProxy{
		Transport: &http.Transport{DisableCompression: true},
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = target.Scheme, target.Host
			r.Out.Host = r.In.Host // it is signed
		},
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }, // the cloud is down
	}
	e.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		node, _ := r.Context().Value(callerKey{}).(string)
		defer e.begin(node)()
		proxy.ServeHTTP(w, r.WithContext(context.WithoutCancel(r.Context())))
	}))
	e.server.Config.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		return context.WithValue(ctx, callerKey{}, e.caller(conn))
	}
	e.server.Start()
	tb.Cleanup(e.server.Close)
	return e
}

// Settings are what the cloud's destination is written with, so that its calls
// go this way.
func (e *Egress) Settings() map[string]any {
	settings := maps.Clone(e.cloud.Settings())
	settings["endpoint"] = e.server.URL
	return settings
}

// begin notes a call that begins, and, by the function that it returns, its end.
func (e *Egress) begin(node string) (end func()) {
	began := time.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.open++
	return func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.open--
		e.calls = append(e.calls, EgressCall{Node: node, Begin: began, End: time.Now()})
	}
}

// AwaitIdle waits until no call is under way.
func (e *Egress) AwaitIdle() {
	e.tb.Helper()
	Eventually(e.tb, "end of the calls under way", func() error {
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.open > 0 {
			return fmt.Errorf("%d calls to %s are under way", e.open, e.cloud.Service.Type)
		}
		return nil
	})
}

// Calls returns the calls that have ended since the last one, in the order in
// which they began.
func (e *Egress) Calls() []EgressCall {
	e.mu.Lock()
	defer e.mu.Unlock()
	calls := slices.Clone(e.calls)
	slices.SortFunc(calls, func(a, b EgressCall) int { return a.Begin.Compare(b.Begin) })
	return calls
}

// caller names the node whose plugin has the other end of a connection.
func (e *Egress) caller(conn net.Conn) string {
	inode := socketInode(conn.RemoteAddr(), conn.LocalAddr())
	if inode == "" {
		return ""
	}
	fds, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, fd := range fds {
		if target, err := os.Readlink(fd); err != nil || target != "socket:["+inode+"]" {
			continue
		}
		var pid int
		if _, err := fmt.Sscanf(fd, "/proc/%d/", &pid); err != nil {
			continue
		}
		for _, node := range e.nodes {
			if node.isPlugin(pid) {
				return node.node
			}
		}
	}
	return ""
}

// socketInode is the inode of the socket at the local end of a TCP connection,
// "" if it is closed.
func socketInode(local, remote net.Addr) string {
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return ""
	}
	from, to := procAddress(local), procAddress(remote)
	for line := range strings.Lines(string(table)) {
		// number: local remote state queues timer retransmits uid timeout inode ...
		fields := strings.Fields(line)
		if len(fields) > 9 && fields[1] == from && fields[2] == to {
			return fields[9]
		}
	}
	return ""
}

// procAddress is an IPv4 address as the kernel shows it.
func procAddress(address net.Addr) string {
	tcp, ok := address.(*net.TCPAddr)
	if !ok || tcp.IP.To4() == nil {
		return ""
	}
	ip := tcp.IP.To4()
	return fmt.Sprintf("%02X%02X%02X%02X:%04X", ip[3], ip[2], ip[1], ip[0], tcp.Port)
}

// Terms are the nodes that called the clouds, one after the other: "a", "b", "a"
// says that b took over from a, and then a from b. It is an error if a node
// began a call before the last one of another node had ended, or if nobody knows
// whose a call was.
func Terms(egresses ...*Egress) ([]string, error) {
	var calls []EgressCall
	for _, egress := range egresses {
		calls = append(calls, egress.Calls()...)
	}
	slices.SortFunc(calls, func(a, b EgressCall) int { return cmp.Or(a.Begin.Compare(b.Begin), a.End.Compare(b.End)) })
	var terms []string
	var ended time.Time // when the last call of the earlier terms had its answer
	var latest time.Time
	for _, call := range calls {
		if call.Node == "" {
			return terms, fmt.Errorf("nobody knows which node made the call of %s", call.Begin.Format(time.RFC3339Nano))
		}
		if len(terms) == 0 || terms[len(terms)-1] != call.Node {
			terms, ended = append(terms, call.Node), latest
		}
		if call.Begin.Before(ended) {
			return terms, fmt.Errorf("%s called at %s, when a call of the node before went on until %s", call.Node,
				call.Begin.Format(time.RFC3339Nano), ended.Format(time.RFC3339Nano))
		}
		if call.End.After(latest) {
			latest = call.End
		}
	}
	return terms, nil
}
