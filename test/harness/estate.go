// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package harness

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/internal/emulator"
)

// estatePoll is how often it is looked how far an import is.
const estatePoll = 50 * time.Millisecond

// Estate is secrets that a team made in clouds by other means, before the mount
// came.
type Estate struct {
	r      Replication
	tb     testing.TB
	size   int
	before map[string]map[string]emulator.Secret // by destination and remote name
}

// SeedEstate makes so many secrets in each cloud, of several shapes.
func (r Replication) SeedEstate(size int) *Estate {
	r.Vault.tb.Helper()
	e := &Estate{r: r, tb: r.Vault.tb, size: size, before: map[string]map[string]emulator.Secret{}}
	texts := []string{"plain text %d", `{"password":"%d","user":"app"}`, `{ "user": "app", "password": "%d" }`}
	for _, cloud := range r.Clouds {
		for i := range size {
			s := emulator.Secret{Ref: cloud.Service.ref(fmt.Sprintf("estate-%04d", i)), Description: fmt.Sprintf("made by hand, %d", i)}
			s.Account = cloud.Account.AccountID
			made := time.Now().Add(-1000 * time.Hour)
			for version := range 1 + i%3 {
				s.Versions = append(s.Versions, emulator.Version{
					ID: fmt.Sprintf("v%d", version+1), Created: made.Add(time.Duration(version) * time.Hour),
					Text: fmt.Sprintf(texts[i%len(texts)], 1000*i+version),
				})
			}
			if last := &s.Versions[len(s.Versions)-1]; cloud.Service.Type != Tencent.Type {
				last.Labels = []string{cloud.Service.current}
			}
			if err := cloud.Control.Seed(e.tb.Context(), s); err != nil {
				e.tb.Fatalf("make a secret of the estate at %s: %v", cloud.Service.Type, err)
			}
		}
		e.before[cloud.Service.Destination] = e.inCloud(cloud)
	}
	return e
}

func (e *Estate) inCloud(cloud *Emulator) map[string]emulator.Secret {
	byName := map[string]emulator.Secret{}
	for _, s := range cloud.Secrets() {
		if strings.HasPrefix(s.Name, "estate-") {
			byName[s.Name] = s
		}
	}
	return byName
}

// folder is where the secrets of a cloud are in Vault.
func folder(destination string) string { return strings.ReplaceAll(destination, "/", "-") + "/" }

// Import begins to import the estate of every cloud, and returns the jobs by
// destination.
func (e *Estate) Import(parameters map[string]any, guards map[string]string) map[string]string {
	e.tb.Helper()
	jobs := map[string]string{}
	for _, destination := range e.r.Destinations() {
		own := maps.Clone(parameters)
		own["match"], own["prefix"], own["adopt"], own["wait"] = "estate-*", folder(destination), true, 0
		if guard := guards[destination]; guard != "" {
			own["guard"] = guard
		}
		id, _ := e.r.Vault.Write("import/"+destination, own).Data["id"].(string)
		jobs[destination] = id
	}
	return jobs
}

// AwaitJobs waits until every job satisfies done.
func (e *Estate) AwaitJobs(jobs map[string]string, limit time.Duration, done func(job map[string]any) bool) {
	e.tb.Helper()
	deadline := time.Now().Add(limit)
	for destination, id := range jobs {
		for {
			job := e.r.Vault.Read("jobs/" + id).Data
			if done(job) {
				break
			}
			if state := job["state"]; state == "failed" || state == "cancelled" || time.Now().After(deadline) {
				e.tb.Fatalf("the import of %s is %v", destination, job)
			}
			time.Sleep(estatePoll)
		}
	}
}

// Ended tells whether a job came to its end.
func Ended(job map[string]any) bool { return job["state"] == "done" }

// Items is how many results a job has.
func Items(job map[string]any) int {
	number, _ := job["items"].(json.Number)
	n, _ := number.Int64()
	return int(n)
}

// WantUntouched checks that nothing in the clouds changed but descriptions, and
// these only by a mark if marked is set.
func (e *Estate) WantUntouched(marked bool) {
	e.tb.Helper()
	for _, cloud := range e.r.Clouds {
		after := e.inCloud(cloud)
		for name, before := range e.before[cloud.Service.Destination] {
			is := after[name]
			want := before.Description
			if marked {
				want += " [vault-cloudsync mount="
			}
			if !strings.HasPrefix(is.Description, want) || !marked && is.Description != want {
				e.tb.Errorf("%s: the description of %s is %q", cloud.Service.Type, name, is.Description)
			}
			is.Description = before.Description
			if !reflect.DeepEqual(normal(before), normal(is)) {
				e.tb.Errorf("%s: %s was changed: %+v", cloud.Service.Type, name, is)
			}
		}
	}
}

// normal is a secret in a form that compares: with times of one location.
func normal(s emulator.Secret) string {
	s.Created = s.Created.UTC()
	text, _ := json.Marshal(s)
	return string(text)
}

// WriteAll writes another value to every secret, some at a time, and waits until
// all are in sync.
func (e *Estate) WriteAll(limit time.Duration) {
	e.tb.Helper()
	names := make(chan string)
	var writers sync.WaitGroup
	for range 8 {
		writers.Go(func() {
			for name := range names {
				e.r.Vault.Write("secrets/"+name, map[string]any{"value": "next of " + name, "wait": "0"})
			}
		})
	}
	for i := range e.size {
		for _, destination := range e.r.Destinations() {
			names <- fmt.Sprintf("%sestate-%04d", folder(destination), i)
		}
	}
	close(names)
	writers.Wait()
	for deadline := time.Now().Add(limit); ; time.Sleep(estatePoll) {
		outstanding := fmt.Sprint(e.r.Vault.Read("status").Data["outstanding"])
		if outstanding == "0" {
			return
		}
		if time.Now().After(deadline) {
			e.tb.Fatalf("%s replicas aren't in sync", outstanding)
		}
	}
}

// WantContinued checks that each secret has its history, and readers the value
// that was written last: those who name no version, and at Tencent those who name
// the one that was the newest.
func (e *Estate) WantContinued() {
	e.tb.Helper()
	for _, cloud := range e.r.Clouds {
		after := e.inCloud(cloud)
		for name, before := range e.before[cloud.Service.Destination] {
			is, readers := after[name], before.Versions[len(before.Versions)-1].ID
			want := "next of " + folder(cloud.Service.Destination) + name
			got := cloud.Service.currentText(is)
			if cloud.Service.Type == Tencent.Type {
				version, _ := is.Version(readers)
				got = version.Text
			}
			if got != want {
				e.tb.Errorf("%s: readers of %s get %q", cloud.Service.Type, name, got)
			}
			if added := len(is.Versions) - len(before.Versions); added != 1 {
				e.tb.Errorf("%s: %s has %d versions more", cloud.Service.Type, name, added)
			}
			for _, v := range before.Versions {
				if kept, there := is.Version(v.ID); !there || kept.Text != v.Text && (cloud.Service.Type != Tencent.Type || v.ID != readers) {
					e.tb.Errorf("%s: version %s of %s is lost", cloud.Service.Type, v.ID, name)
				}
			}
		}
	}
}
