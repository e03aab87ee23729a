// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package huawei_test

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/huaweicloud/huaweicloud-sdk-go-v3/services/csms/v1/model"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/emulatortest"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/huawei"
)

func TestAFaultStrikesTheCallAndSaysWhetherItTookEffect(t *testing.T) {
	t.Parallel()
	const put = "CreateSecretVersion"
	injected := func(code string) emulator.Fault { return emulator.Fails(put, code) }
	tests := []struct {
		name   string
		fault  emulator.Fault
		want   string // what the call ends with, or begins with if it isn't an answer
		effect bool
	}{
		{"throttling comes with its status", injected("APIGW.0308"), "Too Many Requests APIGW.0308", false},
		{"an internal error comes with its status", injected("APIGW.0601"), "Internal Server Error APIGW.0601", false},
		{"a backend that is unavailable comes with its status", injected("APIGW.0201"), "Bad Gateway APIGW.0201", false},
		{"a missing right on the key comes with its status", injected("KMS.0306"), "Forbidden KMS.0306", false},
		{"a code that nobody lists comes with 400", injected("CSMS.9999"), "Bad Request CSMS.9999", false},
		{
			"a code can have another status",
			emulator.Fault{Kind: emulator.Error, Code: "APIGW.0201", Status: 504, Operation: put},
			"Gateway Timeout APIGW.0201", false,
		},
		{
			"an error can come after the work",
			emulator.Fault{Kind: emulator.Error, Code: "APIGW.0601", AfterEffect: true, Operation: put},
			"Internal Server Error APIGW.0601", true,
		},
		{"a proxy's page comes instead of the work", emulator.Fault{Kind: emulator.HTTP, Operation: put}, "Bad Gateway ", false},
		{"a connection is dropped before the work", emulator.Fault{Kind: emulator.Drop, Operation: put}, "not an API error", false},
		{"an answer is lost after the work", emulator.LostReply(put), "not an API error", true},
		{
			"a clock that is off expires the signature",
			emulator.Fault{Kind: emulator.Skew, Duration: -16 * time.Minute, Operation: put},
			unauthorized, false,
		},
		{"a clock that is off a little does not", emulator.Fault{Kind: emulator.Skew, Duration: 14 * time.Minute, Operation: put}, ok, true},
		{"a fault for another secret lets the call pass", emulator.Fault{Kind: emulator.Drop, Secret: "other"}, ok, true},
		{"a fault for the secret strikes", emulator.Fault{Kind: emulator.Drop, Secret: "s"}, "not an API error", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := start(t, huawei.Options{})
			c.create(t, "s", "value")
			emulatortest.AddFault(t, c.server, test.fault)
			err := c.put("s", "second")
			if got := answered(err); !strings.HasPrefix(got, test.want) || test.want == ok && got != ok {
				t.Errorf("the call ended with %q, want %q", got, test.want)
			}
			stored, _ := c.server.Inspect(project, "s")
			if _, there := stored.Version("v2"); there != test.effect {
				t.Errorf("the version is there: %v, want %v", there, test.effect)
			}
			c.server.Faults().ClearAll()
			_, err = c.get("s", "v1")
			want(t, err, ok)
		})
	}
}

func TestAFaultFindsTheSecretThatACallIsAbout(t *testing.T) {
	t.Parallel()
	c := start(t, huawei.Options{})
	id := *c.create(t, "s", "value").Id
	emulatortest.AddFault(t, c.server, emulator.Fault{Kind: emulator.Error, Code: "APIGW.0308", Secret: "s"})
	emulatortest.AddFault(t, c.server, emulator.Fault{Kind: emulator.Error, Code: "APIGW.0308", Secret: "new"})
	const throttled = "Too Many Requests APIGW.0308"
	for name, run := range map[string]func() error{
		"by its name":         func() error { _, err := c.show("s"); return err },
		"by its id":           func() error { return c.tag(id, "k", "v") },
		"by the body":         func() error { return createNamed(c, "new") },
		"by a stage's parent": func() error { _, err := c.stage("s", "SYSCURRENT"); return err },
	} {
		t.Run(name, func(t *testing.T) { want(t, run(), throttled) })
	}
	want(t, createNamed(c, "third"), ok)
}

func createNamed(c cloud, name string) error {
	_, err := c.createWith(model.CreateSecretRequestBody{Name: name, SecretString: p("x")})
	return err
}

func TestAnInjectedErrorDoesNotHideAWrongSignature(t *testing.T) {
	t.Parallel()
	server := atNoon(t, huawei.Switches{})
	emulatortest.AddFault(t, server, emulator.Fails("", "APIGW.0308"))
	w := newWire()
	w.account.AccessKeySecret = "wrong"
	if got := answerTo(t, server, w.request()); got.code != "APIGW.0301" {
		t.Errorf("answered %+v", got)
	}
}

func TestAHangingCallGoesOnWhenTheFaultIsCleared(t *testing.T) {
	t.Parallel()
	c := start(t, huawei.Options{})
	c.create(t, "s", "value")
	rule := emulatortest.AddFault(t, c.server, emulator.Fault{Kind: emulator.Hang, Operation: "CreateSecretVersion", Count: 1})
	done := make(chan error, 1)
	go func() { done <- c.put("s", "second") }()
	<-rule.Struck
	if got := c.marks(t, "s"); got != "v1:SYSCURRENT" {
		t.Errorf("the hanging call has done its work: %s", got)
	}
	_, err := c.get("s", "v1") // others aren't held up
	want(t, err, ok)
	c.server.Faults().Clear(rule.ID)
	want(t, <-done, ok)
	if got := c.marks(t, "s"); got != "v1:SYSPREVIOUS v2:SYSCURRENT" {
		t.Errorf("the call was let go and left %s", got)
	}
}

func TestADelayTakesItsTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server, err := huawei.New(huawei.Options{})
		if err != nil {
			t.Fatal(err)
		}
		client := clientOver(t, emulatortest.Transport(server), "http://emulator.test", emulator.ExampleAccount(), project)
		c := cloud{client, server, ""}
		c.create(t, "s", "value")
		emulatortest.AddFault(t, server, emulator.Fault{Kind: emulator.Delay, Duration: 3 * time.Second, Operation: "ShowSecretVersion"})
		begin := time.Now()
		_, err = c.get("s", "v1")
		want(t, err, ok)
		if took := time.Since(begin); took != 3*time.Second {
			t.Errorf("the delayed call took %s", took)
		}
	})
}

func TestWritersThatMeetLeaveAllTheirVersions(t *testing.T) {
	t.Parallel()
	c := start(t, huawei.Options{})
	c.create(t, "s", "value")
	var writers sync.WaitGroup
	for range 8 {
		writer := cloud{clientFor(t, c.endpoint, emulator.ExampleAccount(), project), c.server, c.endpoint}
		writers.Go(func() {
			for range 2 {
				if err := writer.put("s", "more"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	stored, _ := c.server.Inspect(project, "s")
	if len(stored.Versions) != 17 || stored.Versions[16].ID != "v17" || stored.Versions[16].Labels[0] != "SYSCURRENT" {
		t.Errorf("stored is %+v", stored)
	}
}
