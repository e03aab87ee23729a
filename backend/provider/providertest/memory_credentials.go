// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package providertest

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/sensitive"
)

// The products of every [Memory].
const (
	ProductDatabase = "Database" // the service makes two accounts and alternates
	ProductImported = "Imported" // an account that is there already
	ProductKey      = "Key"      // the service makes the name up
)

// products are the kinds of managed credentials that the service has.
func (m Model) products() []provider.CredentialProduct {
	database := provider.CredentialProduct{
		Name: ProductDatabase, Title: "in-memory database accounts", Names: []string{"Database-2"},
		Fields: []provider.CredentialField{
			{Name: "user_name_prefix", Type: provider.FieldString, Required: true, Description: "What the account names begin with."},
			{Name: "domains", Type: provider.FieldList, Description: "Hosts that the accounts may log in from."},
			{Name: "privileges", Type: provider.FieldJSON, Description: "What the accounts may do."},
			{Name: "pool_size", Type: provider.FieldInt, Description: "How many connections the accounts may have."},
			{Name: "require_tls", Type: provider.FieldBool, Description: "Whether the accounts have to use TLS."},
			{Name: "access", Type: provider.FieldString, Description: "What is read.", Allowed: []string{"read", "write"}},
		},
		InstanceRequired: true,
		ShortestRotation: provider.Days(1), LongestRotation: provider.Days(365), RotationUnit: provider.Days(1), SetsBegin: true,
		Rotates: true, RotatesOnce: m.tokens(),
		DeletesAccounts: true, Deletion: "The accounts stay in the database unless delete_accounts is set.",
		Window: provider.WindowRule{MinDays: 1, MaxDays: 30, DefaultDays: 30, Immediate: true},
	}
	imported := database
	imported.Name, imported.Title, imported.Names = ProductImported, "in-memory imported accounts", nil
	imported.Fields, imported.InitialValue, imported.SetsBegin, imported.DeletesAccounts = nil, true, false, false
	imported.Deletion = "The account stays as it is."
	key := database
	key.Name, key.Title, key.Names = ProductKey, "in-memory access keys", nil
	key.Fields, key.InstanceRequired, key.AssignsName, key.NamePrefix = nil, false, true, "auto-"
	return []provider.CredentialProduct{database, imported, key}
}

// tokens tells whether a rotation has the token's name, and no task.
func (m Model) tokens() bool { return m.Labels && !m.AssignsIDs }

// StoredCredential is a managed credential as the cloud holds it.
type StoredCredential struct {
	provider.Credential
	Initial string
	Values  []StoredCredentialValue // newest first
}

// StoredCredentialValue is one value of a credential.
type StoredCredentialValue struct {
	provider.CredentialVersion
	Password string
}

func (c *StoredCredential) clone() *StoredCredential {
	if c == nil {
		return nil
	}
	copied := *c
	copied.Parameters = maps.Clone(c.Parameters)
	copied.Values = slices.Clone(c.Values)
	return &copied
}

// credentialTask is work that the service goes on with by itself.
type credentialTask struct {
	name, token string
	kind        string // the operation that began it
	due         time.Time
	fault       string // why it fails, "" if it doesn't
	status      provider.TaskStatus
}

// SlowTasks makes creations and rotations of credentials take so long from now on.
func (r *Region) SlowTasks(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.taskTime = d
}

// FailTask makes the next creation or rotation of a credential fail after it was
// accepted.
func (r *Region) FailTask(reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.taskFault = reason
}

// FinishTasks ends what is under way, and SlowTasks.
func (r *Region) FinishTasks() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.taskTime = 0
	for _, t := range r.tasks {
		t.due = r.now()
	}
	r.expireLocked()
}

// Accounts are the accounts that there are for credentials, sorted.
func (r *Region) Accounts() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.expireLocked()
	return slices.Sorted(maps.Keys(r.accounts))
}

// begin starts a task and returns its id. What takes no time is done at once.
func (r *Region) begin(t credentialTask) string {
	r.lastID++
	id := fmt.Sprintf("task-%d", r.lastID)
	t.due, t.fault, t.status.State = r.now().Add(r.taskTime), r.taskFault, provider.TaskRunning
	r.taskFault = ""
	r.tasks[id] = &t
	r.advanceCredentialsLocked(r.now())
	if r.model.tokens() {
		return ""
	}
	return id
}

// advanceCredentialsLocked lets tasks and schedules do what is due.
func (r *Region) advanceCredentialsLocked(now time.Time) {
	for _, id := range slices.Sorted(maps.Keys(r.tasks)) {
		t := r.tasks[id]
		if t.status.State != provider.TaskRunning || t.due.After(now) {
			continue
		}
		t.status.State = provider.TaskSucceeded
		if t.fault != "" {
			t.status = provider.TaskStatus{State: provider.TaskFailed, Code: "Memory.Task", Message: t.fault}
		}
		if s, there := r.secrets[t.name]; there && s.Credential != nil {
			r.end(s, t)
		}
	}
	for _, s := range r.secrets {
		c := s.Credential
		for c != nil && c.State == provider.CredentialReady && s.State == provider.StateEnabled && c.Rotation.Enabled && !c.NextRotation.After(now) {
			at := c.NextRotation
			c.NextRotation = at.Add(c.Rotation.Interval)
			if r.taskFault != "" {
				c.RotationProblem, c.Rotation.Enabled, r.taskFault = r.taskFault, false, ""
				break
			}
			r.lastID++
			r.turn(s, fmt.Sprintf("scheduled-%d", r.lastID), at)
		}
	}
}

// end is the effect of a task on its credential.
func (r *Region) end(s *Stored, t *credentialTask) {
	c := s.Credential
	failed := t.status.State == provider.TaskFailed
	switch {
	case t.kind == OpDeleteCredential:
	case t.kind == OpCreateCredential && failed:
		c.State = provider.CredentialFailed
		c.RotationProblem = t.fault
	case t.kind == OpCreateCredential:
		c.State = provider.CredentialReady
		r.turn(s, t.token, t.due)
		c.LastRotation = time.Time{}
	case failed:
		c.State, c.RotationProblem = provider.CredentialReady, t.fault
	default:
		c.State = provider.CredentialReady
		r.turn(s, t.token, t.due)
	}
}

// turn gives the credential another value.
func (r *Region) turn(s *Stored, token string, at time.Time) {
	c := s.Credential
	r.lastID++
	n := len(c.Values)
	account := fmt.Sprintf("%s_%s_%d", c.Parameters["user_name_prefix"], c.Name, n%2)
	r.accounts[account] = true
	value := StoredCredentialValue{
		CredentialVersion: provider.CredentialVersion{ID: token, Username: account, CreatedTime: at},
		Password:          fmt.Sprintf("password-%d-of-%s", r.lastID, c.Name),
	}
	switch {
	case r.model.AssignsIDs:
		value.ID = fmt.Sprint(r.lastID)
		fallthrough
	case r.model.Labels:
		value.Labels = []string{LabelCurrent}
		for i := range c.Values {
			c.Values[i].Labels = nil
		}
		if n > 0 {
			c.Values[0].Labels = []string{LabelPrevious}
		}
	default:
		value.ID = "SSM_Current"
		if n > 0 {
			c.Values[0].ID = fmt.Sprintf("SSM_Rotate_%d", n)
		}
	}
	c.Values = slices.Insert(c.Values, 0, value)
	c.LastRotation, c.RotationProblem = at, ""
}

// fields are the parts of a value.
func (v StoredCredentialValue) fields() map[string]sensitive.String {
	return map[string]sensitive.String{
		"username": sensitive.NewString(v.Username), "password": sensitive.NewString(v.Password),
	}
}
