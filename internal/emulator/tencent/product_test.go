// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package tencent_test

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	ssm "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/ssm/v20190923"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/emulatortest"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/tencent"
)

// account is the value of a product secret.
type account struct{ UserName, Password string }

// productRequest asks for an account with a schedule of 30 days from tomorrow.
func productRequest(name string) *ssm.CreateProductSecretRequest {
	r := ssm.NewCreateProductSecretRequest()
	r.SecretName, r.UserNamePrefix, r.ProductName, r.InstanceID = &name, p("app"), p("Mysql"), p("cdb-n4j3y33j")
	r.Domains = []*string{p("%")}
	r.PrivilegesList = []*ssm.ProductPrivilegeUnit{{PrivilegeName: p("GlobalPrivileges"), Privileges: []*string{p("SELECT")}}}
	r.EnableRotation, r.RotationFrequency, r.RotationBeginTime = p(true), p(int64(30)), p(chinaTime(time.Now().Add(24*time.Hour)))
	return r
}

func chinaTime(t time.Time) string {
	return t.In(time.FixedZone("", 8*3600)).Format("2006-01-02 15:04:05")
}

// createProduct makes an account and returns the flow.
func (c cloud) createProduct(t *testing.T, name string) int64 {
	t.Helper()
	answer, err := c.CreateProductSecret(productRequest(name))
	if err != nil {
		t.Fatal(err)
	}
	return *answer.Response.FlowID
}

// follow looks at a flow until it has ended, and returns how often and what it
// says then.
func (c cloud) follow(t *testing.T, flow int64) (looks int, status int64, description string) {
	t.Helper()
	for looks = 1; looks < 20; looks++ {
		r := ssm.NewDescribeAsyncRequestInfoRequest()
		r.FlowID = &flow
		answer, err := c.DescribeAsyncRequestInfo(r)
		if err != nil {
			t.Fatal(err)
		}
		if *answer.Response.TaskStatus != 0 {
			return looks, *answer.Response.TaskStatus, *answer.Response.Description
		}
	}
	return looks, 0, "it goes on"
}

// ready makes an account and waits for it.
func (c cloud) ready(t *testing.T, name string) account {
	t.Helper()
	if _, status, text := c.follow(t, c.createProduct(t, name)); status != 1 {
		t.Fatalf("the creation ended with %d: %s", status, text)
	}
	return c.account(t, name, "SSM_Current")
}

func (c cloud) account(t *testing.T, name, versionID string) account {
	t.Helper()
	answer, err := c.get(name, versionID)
	if err != nil {
		t.Fatal(err)
	}
	var a account
	if err := json.Unmarshal([]byte(*answer.SecretString), &a); err != nil {
		t.Fatal(err)
	}
	return a
}

func (c cloud) rotate(name string) (int64, error) {
	r := ssm.NewRotateProductSecretRequest()
	r.SecretName = &name
	answer, err := c.RotateProductSecret(r)
	if err != nil {
		return 0, err
	}
	return *answer.Response.FlowID, nil
}

func (c cloud) schedule(name string, on bool, days int64, begin string) error {
	r := ssm.NewUpdateRotationStatusRequest()
	r.SecretName, r.EnableRotation = &name, &on
	if days != 0 {
		r.Frequency = &days
	}
	if begin != "" {
		r.RotationBeginTime = &begin
	}
	_, err := c.UpdateRotationStatus(r)
	return err
}

func (c cloud) detail(t *testing.T, name string) *ssm.DescribeRotationDetailResponseParams {
	t.Helper()
	r := ssm.NewDescribeRotationDetailRequest()
	r.SecretName = &name
	answer, err := c.DescribeRotationDetail(r)
	if err != nil {
		t.Fatal(err)
	}
	return answer.Response
}

func (c cloud) history(t *testing.T, name string) []string {
	t.Helper()
	r := ssm.NewDescribeRotationHistoryRequest()
	r.SecretName = &name
	answer, err := c.DescribeRotationHistory(r)
	if err != nil {
		t.Fatal(err)
	}
	ids := []string{}
	for _, id := range answer.Response.VersionIDs {
		ids = append(ids, *id)
	}
	return ids
}

// ahead makes a call with the clock that far ahead, for the work of its schedule.
func (c cloud) ahead(d time.Duration) {
	c.server.Clock().SetOffset(d)
	c.server.List("", region)
	c.server.Clock().SetOffset(0)
}

func TestAProductSecretIsMadeByAFlow(t *testing.T) {
	t.Parallel()
	c := start(t, tencent.Options{})
	flow := c.createProduct(t, "db")
	described, err := c.describe("db")
	wantCode(t, err, "")
	if *described.Status != "Creating" || *described.ProductName != "Mysql" || *described.ResourceID != "cdb-n4j3y33j" || !*described.RotationStatus {
		t.Errorf("while it is made: %s of %s", *described.Status, *described.ProductName)
	}
	_, err = c.get("db", "SSM_Current")
	wantCode(t, err, uninitialized)

	if looks, status, text := c.follow(t, flow); looks != 2 || status != 1 || text != "success" { // describing was a look
		t.Errorf("after %d looks the flow is %d: %s", looks, status, text)
	}
	if a := c.account(t, "db", "SSM_Current"); len(a.UserName) != len("app_SSM_xyz") || !strings.HasPrefix(a.UserName, "app_SSM_") || a.Password == "" {
		t.Errorf("the account is %q", a.UserName)
	}
	if ids := c.history(t, "db"); len(ids) != 0 {
		t.Errorf("the history begins with %v", ids)
	}
	detail := c.detail(t, "db")
	if !*detail.EnableRotation || *detail.Frequency != 30 || detail.LatestRotateTime != nil {
		t.Errorf("the schedule is on %t, every %d days, latest %v", *detail.EnableRotation, *detail.Frequency, detail.LatestRotateTime)
	}
	_, err = c.CreateProductSecret(productRequest("db"))
	wantCode(t, err, "ResourceInUse.SecretExists")
}

func TestTwoAccountsTakeTurnsAndFormerValuesStayReadable(t *testing.T) {
	t.Parallel()
	c := start(t, tencent.Options{})
	values := []account{c.ready(t, "db")}
	for range 12 {
		flow, err := c.rotate("db")
		wantCode(t, err, "")
		if now := c.account(t, "db", "SSM_Current"); now != values[len(values)-1] {
			t.Fatalf("the value changed before the flow ended")
		}
		_, err = c.rotate("db")
		wantCode(t, err, failed) // one at a time
		if _, status, text := c.follow(t, flow); status != 1 {
			t.Fatalf("the rotation ended with %d: %s", status, text)
		}
		values = append(values, c.account(t, "db", "SSM_Current"))
	}
	slices.Reverse(values)
	for i := range values[1:] {
		if (values[i].UserName == values[i+1].UserName) || values[i].Password == values[i+1].Password {
			t.Errorf("value %d is %v after %v", i, values[i].UserName, values[i+1].UserName)
		}
		if i > 0 && values[i-1].UserName != values[i+1].UserName {
			t.Errorf("a third account: %s", values[i+1].UserName)
		}
	}
	ids := c.history(t, "db")
	if len(ids) != 10 || !strings.HasPrefix(ids[0], "SSM_Rotate_20") || len(ids[0]) != len("SSM_Rotate_20060102150405") {
		t.Fatalf("the history is %v", ids)
	}
	for i, id := range ids {
		if a := c.account(t, "db", id); a != values[i+1] {
			t.Errorf("%s is of %s, want %s", id, a.UserName, values[i+1].UserName)
		}
	}
	if detail := c.detail(t, "db"); detail.LatestRotateTime == nil {
		t.Error("nothing tells when the latest rotation was")
	}
}

func TestFaultsStrikeTheWorkOfFlows(t *testing.T) {
	t.Parallel()
	t.Run("a creation takes its time on the clock", func(t *testing.T) {
		t.Parallel()
		c := start(t, tencent.Options{})
		emulatortest.AddFault(t, c.server, emulator.Fault{Kind: emulator.Delay, Operation: "Creation", Duration: time.Minute, Count: 1})
		flow := c.createProduct(t, "db")
		if _, status, _ := c.follow(t, flow); status != 0 {
			t.Errorf("it ended with %d before its time", status)
		}
		c.ahead(2 * time.Minute)
		if looks, status, _ := c.follow(t, flow); looks != 1 || status != 1 {
			t.Errorf("it is %d after its time", status)
		}
	})
	t.Run("a creation fails, and its secret holds nothing", func(t *testing.T) {
		t.Parallel()
		c := start(t, tencent.Options{})
		emulatortest.AddFault(t, c.server, emulator.Fault{Kind: emulator.Error, Operation: "Creation", Code: "Broken", Message: "no such instance", Count: 1})
		if _, status, text := c.follow(t, c.createProduct(t, "db")); status != 2 || text != "no such instance" {
			t.Errorf("it ended with %d: %s", status, text)
		}
		described, err := c.describe("db")
		wantCode(t, err, "")
		_, err = c.get("db", "SSM_Current")
		wantCode(t, err, uninitialized)
		_, rotateErr := c.rotate("db")
		wantCode(t, rotateErr, uninitialized)
		wantCode(t, c.disable("db"), uninitialized)
		if *described.Status != "Failed" || *described.RotationStatus {
			t.Errorf("status %s", *described.Status)
		}
		if err := c.server.Switch(tencent.Switches{KeepsFailed: true}); err != nil {
			t.Fatal(err)
		}
		wantCode(t, c.deleteAfter("db", 0), uninitialized)
		if err := c.server.Switch(tencent.Switches{}); err != nil {
			t.Fatal(err)
		}
		wantCode(t, c.deleteAfter("db", 7), "")
		c.ready(t, "db")
	})
	t.Run("a rotation fails, and the value stays", func(t *testing.T) {
		t.Parallel()
		c := start(t, tencent.Options{})
		before := c.ready(t, "db")
		emulatortest.AddFault(t, c.server, emulator.Fault{Kind: emulator.Error, Operation: "Rotation", Code: "Broken", Count: 1})
		flow, err := c.rotate("db")
		wantCode(t, err, "")
		if _, status, text := c.follow(t, flow); status != 2 || text != "Broken" {
			t.Errorf("it ended with %d: %s", status, text)
		}
		if now := c.account(t, "db", "SSM_Current"); now != before || len(c.history(t, "db")) != 0 {
			t.Error("the value changed")
		}
	})
	t.Run("a rotation is held up until the fault is cleared", func(t *testing.T) {
		t.Parallel()
		c := start(t, tencent.Options{})
		c.ready(t, "db")
		emulatortest.AddFault(t, c.server, emulator.Fault{Kind: emulator.Hang, Operation: "Rotation"})
		flow, err := c.rotate("db")
		wantCode(t, err, "")
		if _, status, _ := c.follow(t, flow); status != 0 {
			t.Errorf("it ended with %d", status)
		}
		c.server.Faults().ClearAll()
		if _, status, _ := c.follow(t, flow); status != 1 {
			t.Errorf("it is %d", status)
		}
	})
}

// listRequest has a field that the API got after this version of the SDK.
type listRequest struct {
	*ssm.ListSecretsRequest
	InstanceID string
}

func TestProductsAndOthersAreToldApart(t *testing.T) {
	t.Parallel()
	c := start(t, tencent.Options{})
	c.create(t, "own", "value")
	c.ready(t, "db")
	answer, err := c.DescribeSupportedProducts(ssm.NewDescribeSupportedProductsRequest())
	if err != nil || *answer.Response.TotalCount != 3 || *answer.Response.Products[0] != "Mysql" {
		t.Errorf("supported are %v (%v)", answer, err)
	}
	_, err = c.rotate("own")
	wantCode(t, err, failed)
	wantCode(t, c.schedule("own", true, 30, ""), failed)
	for operation, err := range map[string]error{"PutSecretValue": c.put("db", "v2", "x"), "UpdateSecret": c.update("db", "SSM_Current", "x")} {
		if got := code(err); got != autoRotated {
			t.Errorf("%s of a product secret ended with %q", operation, got)
		}
	}
	if rows := c.listed(t, 0); len(rows) != 1 || *rows[0].SecretName != "own" {
		t.Errorf("%d custom secrets", len(rows))
	}
	for filter, want := range map[string]int{"": 1, "Mysql": 1, "Tdsql-mysql,Mysql": 1, "Tdsql-mysql": 0} {
		r := ssm.NewListSecretsRequest()
		r.SecretType, r.ProductName = p(uint64(1)), &filter
		answer, err := c.ListSecrets(r)
		if err != nil || len(answer.Response.SecretMetadatas) != want {
			t.Errorf("filter %q finds %d (%v)", filter, len(answer.Response.SecretMetadatas), err)
		}
	}
	for instance, want := range map[string]int{"cdb-n4j3y33j": 1, "cdb-other": 0} {
		r := listRequest{ssm.NewListSecretsRequest(), instance}
		r.SecretType = p(uint64(1))
		answer := ssm.NewListSecretsResponse()
		if err := c.Send(r, answer); err != nil || len(answer.Response.SecretMetadatas) != want {
			t.Errorf("instance %s has %d (%v)", instance, len(answer.Response.SecretMetadatas), err)
		}
	}
	r := ssm.NewDescribeAsyncRequestInfoRequest()
	r.FlowID = p(int64(1))
	_, err = c.DescribeAsyncRequestInfo(r)
	wantCode(t, err, "ResourceNotFound")
}

func TestFlowsAndSchedulesSurviveARestart(t *testing.T) {
	t.Parallel()
	options := tencent.Options{Options: emulator.Options{DataDir: filepath.Join(t.TempDir(), "ssm")}}
	c := start(t, options)
	making := c.createProduct(t, "making")
	c.ready(t, "db")
	rotating, err := c.rotate("db")
	wantCode(t, err, "")
	_, err = c.CreateSSHKeyPairSecret(sshRequest("ssh"))
	wantCode(t, err, "")
	before := *c.detail(t, "db").NextRotateBeginTime

	again := start(t, options)
	emulatortest.WantRestarted(t, c.server.List("", region), again.server.List("", region), 3)
	if after := *again.detail(t, "db").NextRotateBeginTime; after != before {
		t.Errorf("the next rotation was to be at %s, and is at %s", before, after)
	}
	for _, flow := range []int64{making, rotating} {
		if _, status, text := again.follow(t, flow); status != 1 {
			t.Errorf("flow %d is %d: %s", flow, status, text)
		}
	}
	if ids := again.history(t, "db"); len(ids) != 1 {
		t.Errorf("the history is %v", ids)
	}
}
