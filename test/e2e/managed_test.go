// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator/huawei"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/test/harness"
)

// issuing is a managed credential at one cloud, and how to disturb its making.
type issuing struct {
	service harness.Service
	// arguments are those of vault write, besides destination and schedule.
	arguments []string
	days      string // of the schedule
	creation  string // call that makes it
	creating  string // work that makes it, "" where the call does
	rotation  string // call that rotates it
	rotating  string // work that rotates it
}

// issuings are one product of each cloud.
func issuings(t *testing.T) []issuing {
	t.Helper()
	file := func(name, content string) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	privileges := file("privileges.json", `[{"PrivilegeName":"DatabasePrivileges","Privileges":["SELECT","INSERT"],"Database":"orders"}]`)
	accounts := file("accounts.json", `[{"username":"app","password":"canary-Initial-1"},{"username":"app2","password":"canary-Initial-2"}]`)
	return []issuing{
		{
			harness.Tencent,
			[]string{"product=Mysql", "instance_id=cdb-n4j3y33j", "user_name_prefix=app", "domains=%", "privileges=@" + privileges},
			"35", "CreateProductSecret", "Creation", "RotateProductSecret", "Rotation",
		},
		{
			harness.Alibaba,
			[]string{"product=Rds", "instance_id=rm-bp1u1x0example", "secret_sub_type=DoubleUsers", "initial_credentials=@" + accounts},
			"7", "CreateSecret", "", "RotateSecret", "Rotation",
		},
		{
			harness.Huawei,
			[]string{
				"product=GaussDB-FG", "instance_id=taurus-1", "secret_sub_type=MultiUser", "create_agency=true", "initial_credentials=@" + accounts,
				"rotation_func_urn=urn:fss:cn-north-4:" + huawei.ExampleProjectID + ":function:default:rotate:latest",
			},
			"30", "CreateSecret", "", "RotateSecret", huawei.RotationWork,
		},
	}
}

// write is the command that has the credential made.
func (i issuing) write(name string, more ...string) []string {
	command := append([]string{"write", "-format=json", "cloudsync/managed/" + name, "destination=" + i.service.Destination}, i.arguments...)
	return append(append(command, "enable_rotation=true", "rotation_frequency="+i.days), more...)
}

// credentialNow reads the value that works.
func credentialNow(v *harness.Vault, name string) map[string]any {
	return v.Read("managed/" + name + "/credentials").Data
}

func awaitCredential(t *testing.T, v *harness.Vault, name, state string) map[string]any {
	t.Helper()
	var data map[string]any
	harness.Eventually(t, "managed credential "+name, func() error {
		answer, err := v.Client.Logical().ReadWithContext(t.Context(), harness.Mount+"/managed/"+name)
		switch {
		case err != nil:
			return err
		case answer == nil:
			return errors.New("there is none")
		case answer.Data["state"] != state:
			return fmt.Errorf("it is %v", answer.Data)
		}
		data = answer.Data
		return nil
	})
	return data
}

// managedAt are the managed credentials that a cloud has.
func managedAt(cloud *harness.Emulator) (found []emulator.Secret) {
	for _, s := range cloud.Secrets() {
		if !slices.Contains([]string{"", "0", "Generic", "COMMON"}, s.Type) {
			found = append(found, s)
		}
	}
	return found
}

func TestACredentialIsManagedAtEachCloud(t *testing.T) {
	r := harness.Start(t, harness.Dev, harness.Services...)
	v := r.Vault
	v.Write("config", map[string]any{"default_wait": harness.Patience.String()})
	for n, at := range issuings(t) {
		t.Run(at.service.Type, func(t *testing.T) {
			cloud, name := r.Clouds[n], "team-a/orders-db"
			v.CLI(at.write(name)...)
			made := awaitCredential(t, v, name, "ready")
			first := credentialNow(v, name)
			if first["username"] == "" || first["password"] == "" || first["next_rotation"] == "" {
				t.Errorf("the value is that of %v, next rotated at %v", first["username"], first["next_rotation"])
			}
			v.CLI("write", "-f", "cloudsync/managed/"+name+"/rotate")
			second := credentialNow(v, name)
			if second["password"] == first["password"] || second["username"] == first["username"] {
				t.Errorf("after a rotation the account is still %v", second["username"])
			}
			days := at.days + "0"
			v.CLI("write", "cloudsync/managed/"+name+"/rotation", "rotation_frequency="+days)
			if got := v.Read("managed/" + name + "/rotation").Data; got["rotation_frequency"] != days || got["enable_rotation"] != any(true) {
				t.Errorf("the schedule is %v", got)
			}
			if history, _ := v.Read("managed/" + name + "/history").Data["versions"].([]any); len(history) < 2 {
				t.Errorf("the history is %v", history)
			}
			if products, _ := v.Read("managed-products/" + at.service.Destination).Data["products"].(map[string]any); products[fmt.Sprint(made["product"])] == nil {
				t.Errorf("the products are %v", products)
			}
			// By schedule, on the cloud's clock.
			if err := cloud.Control.Elapse(t.Context(), "", scopeOf(at.service), 24*time.Hour*400); err != nil {
				t.Fatal(err)
			}
			if third := credentialNow(v, name); third["password"] == second["password"] {
				t.Error("a rotation by schedule isn't read")
			}
			deleted, err := v.Client.Logical().DeleteWithContext(t.Context(), harness.Mount+"/managed/"+name)
			if deletion, _ := made["deletion"].(string); err != nil || deletion == "" || deleted == nil || !slices.Contains(deleted.Warnings, deletion) {
				t.Errorf("the deletion, which leaves %q, answers %v, %v", deletion, deleted, err)
			}
			if answer, err := v.Client.Logical().Read(harness.Mount + "/managed/" + name); err != nil || answer != nil {
				t.Errorf("it is still there: %v, %v", answer, err)
			}
		})
	}
}

func scopeOf(s harness.Service) string {
	if s.Type == harness.Huawei.Type {
		return huawei.ExampleProjectID
	}
	return s.Region
}

func TestACrashOrALostAnswerLeavesOneManagedCredential(t *testing.T) {
	r := harness.Start(t, harness.Raft, harness.Services...)
	v := r.Vault
	for n, at := range issuings(t) {
		cloud, name := r.Clouds[n], "db"
		name += at.service.Type[:1]
		t.Run(at.service.Type, func(t *testing.T) {
			if at.creating != "" {
				cloud.Break(emulator.Fault{Kind: emulator.Hang, Operation: at.creating})
			}
			lost := cloud.Break(emulator.LostReply(at.creation))
			v.CLI(at.write(name, "wait=0")...)
			cloud.AwaitFault(lost)
			v.Crash()
			v.Start()
			cloud.Repair()
			awaitCredential(t, v, name, "ready")
			if found := managedAt(cloud); len(found) != 1 {
				t.Fatalf("the cloud has %d managed credentials", len(found))
			}
			before := credentialNow(v, name)

			cloud.Break(emulator.Fault{Kind: emulator.Hang, Operation: at.rotating})
			asked := len(cloud.CallsTo(at.service.RemoteName(name)))
			v.Write("managed/"+name+"/rotate", map[string]any{"wait": "0"})
			harness.Eventually(t, "the rotation to begin", func() error {
				if calls := cloud.CallsTo(at.service.RemoteName(name)); !slices.Contains(calls[asked:], at.rotation) {
					return fmt.Errorf("only %v were called", calls[asked:])
				}
				return nil
			})
			v.Crash()
			v.Start()
			cloud.Repair()
			awaitCredential(t, v, name, "ready")
			after := credentialNow(v, name)
			if after["password"] == before["password"] {
				t.Error("the rotation didn't take place")
			}
			rotations := 0
			for _, call := range cloud.CallsTo(at.service.RemoteName(name))[asked:] {
				if call == at.rotation {
					rotations++
				}
			}
			if history, _ := v.Read("managed/" + name + "/history").Data["versions"].([]any); rotations != 1 {
				t.Errorf("the cloud was asked %d times to rotate and has %d versions", rotations, len(history))
			}
		})
	}
}

func TestARotationIsServedByTheOtherCloudsWithinThePollInterval(t *testing.T) {
	r := harness.Start(t, harness.Dev, harness.Services...)
	v, tencent := r.Vault, r.Clouds[0]
	v.Write("config", map[string]any{"default_wait": harness.Patience.String()})
	v.Write("rules/copies", map[string]any{"match": "copies/**", "destinations": []string{harness.Alibaba.Destination, harness.Huawei.Destination}})
	v.CLI(issuings(t)[0].write("orders-db", "replicate_to=copies/orders-db", "poll_interval=10s")...)
	served := func() error {
		value := credentialNow(v, "orders-db")
		want, err := json.Marshal(map[string]any{"password": value["password"], "username": value["username"]})
		if err != nil {
			return err
		}
		for _, cloud := range r.Clouds[1:] {
			if got := cloud.Current(cloud.Service.RemoteName("copies/orders-db")); got != string(want) {
				return fmt.Errorf("%s serves another value", cloud.Service.Type)
			}
		}
		return nil
	}
	harness.Eventually(t, "the copies", served)
	for _, cloud := range r.Clouds {
		cloud.ResetCalls()
	}
	if err := tencent.Control.Elapse(t.Context(), "", tencent.Service.Region, 36*24*time.Hour); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	harness.Eventually(t, "the copies after a rotation by schedule", served)
	t.Logf("a rotation by schedule at Tencent was served by the two others after %v, looked for every 10s", time.Since(begin).Round(100*time.Millisecond))
	for _, cloud := range r.Clouds[1:] {
		if calls := cloud.CallsTo(cloud.Service.RemoteName("copies/orders-db")); len(calls) > 2 {
			t.Errorf("%s was asked for %v", cloud.Service.Type, calls)
		}
	}
	v.CLI("write", "-f", "cloudsync/managed/orders-db/rotate")
	begin = time.Now()
	harness.Eventually(t, "the copies after a rotation on request", served)
	t.Logf("a rotation that was asked for was served %v after the answer", time.Since(begin).Round(10*time.Millisecond))
}
