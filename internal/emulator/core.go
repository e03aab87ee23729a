// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package emulator

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"time"
)

// Protocol is how one cloud's calls look on the wire. Its methods run
// concurrently.
type Protocol interface {
	// Target reads what a call is about, before anything is verified.
	Target(*Request) Target
	// Authenticate finds out whose call it is and sets Request.Account.
	Authenticate(*Request) *Failure
	// Execute does the work, permission and limits included.
	Execute(*Request) (result any, failure *Failure)
	// Encode makes the answer of a result, or of a failure that isn't nil.
	Encode(r *Request, result any, failure *Failure) Reply
}

// Request is a call on its way through a service.
type Request struct {
	HTTP *http.Request
	Body []byte // at most MaxBody bytes and one more
	Target
	ID      string    // the service's id of the call, a UUID
	Now     time.Time // the service's time, with the skew of faults
	Account Account   // set by Authenticate

	// ValueInURL is set by Target when the URL holds a secret's value, where
	// proxies and error texts show it.
	ValueInURL bool

	skew    time.Duration
	arrived time.Time // by the system's clock
}

// Target is what a call is about. Operation is one of the service's, or "".
type Target struct{ Operation, Region, Secret string }

// Failure is an error answer. Status 0 is what the service uses for errors.
type Failure struct {
	Code, Message string
	Status        int
}

// Reply is an HTTP answer.
type Reply struct {
	Status      int
	ContentType string
	Header      http.Header // further headers, nil for none
	Body        []byte
}

// MaxBody is the largest request body that is read, in bytes.
const MaxBody = 10 << 20

// Options is what a service is made with. The zero value is a service in
// memory on the system's time, with the example account and key.
type Options struct {
	Clock    func() time.Time // nil for the system's
	Logger   *slog.Logger     // one line per call; nil for none
	DataDir  string           // directory of this service alone; "" keeps nothing
	Accounts []Account
	KMSKeys  []KMSKey
	// RateFactor enforces so many times the documented rates; 0 enforces none.
	RateFactor float64
}

// Core is what one emulated service has in common with the others.
type Core struct {
	Clock    *Clock
	Accounts *Accounts
	KMSKeys  *KMSKeys
	Faults   *Faults
	Calls    *Calls
	Rates    *Rates
	Files    *Files // nil when nothing is kept
	Logger   *slog.Logger
}

// NewCore makes the parts that options ask for, of a service with documented
// rates.
func NewCore(options Options, documented Throttling) (*Core, error) {
	rates := NewRates(documented)
	if err := rates.Enforce(options.RateFactor); err != nil {
		return nil, err
	}
	accounts, err := NewAccounts(options.Accounts...)
	if err != nil {
		return nil, err
	}
	files, err := OpenFiles(options.DataDir)
	if err != nil {
		return nil, err
	}
	logger := options.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &Core{
		Clock:    NewClock(options.Clock),
		Accounts: accounts,
		KMSKeys:  NewKMSKeys(options.KMSKeys...),
		Faults:   new(Faults),
		Calls:    new(Calls),
		Rates:    rates,
		Files:    files,
		Logger:   logger,
	}, nil
}

// Serve takes a call through faults, authentication and work, and logs it.
func (c *Core) Serve(w http.ResponseWriter, hr *http.Request, p Protocol) {
	arrived := time.Now()
	body, err := io.ReadAll(io.LimitReader(hr.Body, MaxBody+1))
	if err != nil {
		return // the caller is gone
	}
	start := c.Clock.Now()
	r := &Request{HTTP: hr, Body: body, ID: newRequestID(), Now: start, arrived: arrived}
	r.Target = p.Target(r)

	reply, ended := c.run(r, p)
	c.record(r, start, ended)
	if reply == nil {
		panic(http.ErrAbortHandler) // closes the connection
	}
	maps.Copy(w.Header(), reply.Header)
	w.Header().Set("Content-Type", reply.ContentType)
	w.WriteHeader(reply.Status)
	_, _ = w.Write(reply.Body)
}

// ending is how a call went, for the log.
type ending struct {
	code      string // what the service said, or an injected error
	fault     Kind   // what ended the call, if a fault did
	throttled bool   // the call was over a rate
	refused   bool   // it wasn't let in
}

// damage is what faults have done to a call. The zero damage lets it go on.
type damage struct {
	kind    Kind
	failure *Failure // of Error
	page    *Reply   // of HTTP
}

// cut tells whether the call gets no answer from the service.
func (d damage) cut() bool { return d.kind != "" && d.kind != Error }

// run returns nil instead of a reply when the connection is to be dropped.
func (c *Core) run(r *Request, p Protocol) (*Reply, ending) {
	before, after := c.faultsOf(r)
	harm := c.suffer(r, before)
	if harm.cut() {
		return harm.page, ending{fault: harm.kind}
	}
	result, failure, end := c.work(r, p, harm.failure)
	if end.refused {
		reply := p.Encode(r, nil, failure)
		return &reply, end
	}
	if harm.failure == nil {
		harm = c.suffer(r, after)
	}
	end.fault = harm.kind
	if harm.cut() {
		return harm.page, end
	}
	if harm.failure != nil {
		failure, end.code = harm.failure, harm.failure.Code
	}
	reply := p.Encode(r, result, failure)
	return &reply, end
}

// work authenticates a call and carries it out, unless an injected failure comes
// instead. All of it is at one time of the clock.
func (c *Core) work(r *Request, p Protocol, injected *Failure) (result any, failure *Failure, end ending) {
	c.Clock.calls.RLock()
	defer c.Clock.calls.RUnlock()
	r.Now = c.Clock.Now().Add(r.skew)
	if failure := p.Authenticate(r); failure != nil {
		return nil, failure, ending{code: failure.Code, refused: true}
	}
	if failure := c.Rates.admit(r, r.arrived); failure != nil {
		return nil, failure, ending{code: failure.Code, throttled: true, refused: true}
	}
	if injected != nil {
		return nil, injected, ending{}
	}
	if result, failure = p.Execute(r); failure != nil {
		end.code = failure.Code
	}
	return result, failure, end
}

// faultsOf returns the faults that strike a call before and after its work.
func (c *Core) faultsOf(r *Request) (before, after []*rule) {
	for _, fault := range c.Faults.strike(r.Target) {
		if fault.AfterEffect {
			after = append(after, fault)
		} else {
			before = append(before, fault)
		}
	}
	return before, after
}

// suffer lets faults strike one after the other until one of them ends the
// call, or until the caller gives up.
func (c *Core) suffer(r *Request, faults []*rule) damage {
	ctx := r.HTTP.Context()
	for _, f := range faults {
		switch f.Kind {
		case Skew:
			r.skew += f.Duration
		case Delay:
			if !sleep(ctx, f.Duration) {
				return damage{kind: Delay}
			}
		case Hang:
			select {
			case <-f.cleared:
			case <-ctx.Done():
				return damage{kind: Hang}
			}
		case Error:
			failure := &Failure{Code: f.Code, Message: cmp.Or(f.Message, "injected by a test"), Status: f.Status}
			return damage{kind: Error, failure: failure}
		case HTTP:
			return damage{kind: HTTP, page: proxyPage(f.Fault)}
		case Drop:
			return damage{kind: Drop}
		}
	}
	return damage{}
}

func proxyPage(f Fault) *Reply {
	status := cmp.Or(f.Status, http.StatusBadGateway)
	page := fmt.Sprintf("<html><head><title>%d %s</title></head><body>proxy</body></html>\n", status, http.StatusText(status))
	body := cmp.Or(f.Body, page)
	if f.Empty {
		body = f.Body
	}
	return &Reply{Status: status, ContentType: "text/html", Body: []byte(body)}
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (c *Core) record(r *Request, start time.Time, e ending) {
	call := Call{
		Time: start, Operation: cmp.Or(r.Operation, "unknown"), Region: clip(r.Region), Secret: clip(r.Secret),
		Code: e.code, Fault: e.fault, Throttled: e.throttled, RequestID: r.ID, Duration: c.Clock.Now().Sub(start), ValueInURL: r.ValueInURL,
	}
	c.Calls.add(call)
	c.Logger.Info("call", "operation", call.Operation, "region", call.Region, "secret", call.Secret,
		"code", call.Code, "fault", string(call.Fault), "duration", call.Duration, "request_id", call.RequestID)
}

// clip bounds what a caller can make the log remember.
func clip(s string) string { return s[:min(len(s), 200)] }

func newRequestID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:])
}
