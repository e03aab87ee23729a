// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package backend

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/engine"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/kvstore"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/provider"
	"github.com/cloudsync-vault/vault-plugin-secrets-cloudsync/backend/version"
)

// operationPrefix starts the operation ids in Vault's OpenAPI document.
const operationPrefix = "cloudsync"

const help = `
Stores versioned secrets, as the KV v2 engine does, and keeps a replica of each
in the secret managers of clouds: %s.

A destination is one account and region of a cloud, with its credentials:

    vault write cloudsync/destinations/tencent-ssm/prod region=ap-guangzhou \
        access_key_id=... access_key_secret=@secret.txt

A rule says which secrets go to which destinations, and how they look there:

    vault write cloudsync/rules/team-a match="team-a/**" destinations=tencent-ssm/prod
    vault kv put -mount=cloudsync team-a/db password=...

A secret can also name destinations itself:

    vault write cloudsync/secrets/team-a/db data=@db.json destinations=tencent-ssm/prod

From then on each new version follows, however it is written, and

    vault read cloudsync/status/team-a/db

tells where it is, at which version, and what is in the way if it isn't.
`

// backend is one mount.
type backend struct {
	*framework.Backend
	conf   *logical.BackendConfig
	kinds  []provider.Kind
	schema *kvstore.Schema

	mu     sync.Mutex // over opening and closing
	closed bool
	store  *kvstore.Store
	engine *engine.Engine
}

// Factory makes the engine for one mount. It touches neither storage nor
// network: Vault also calls it to find out what the plugin is, without either.
func Factory(ctx context.Context, conf *logical.BackendConfig) (logical.Backend, error) {
	return newBackend(ctx, conf, kinds)
}

func newBackend(ctx context.Context, conf *logical.BackendConfig, kinds []provider.Kind) (*backend, error) {
	if conf == nil {
		return nil, errors.New("no configuration was given to the backend")
	}
	schema, err := kvstore.NewSchema(ctx)
	if err != nil {
		return nil, err
	}
	b := &backend{conf: conf, kinds: kinds, schema: schema}
	kvPaths, err := b.kvPaths()
	if err != nil {
		return nil, err
	}
	b.Backend = &framework.Backend{
		Help:           strings.TrimSpace(fmt.Sprintf(help, titles(kinds))),
		BackendType:    logical.TypeLogical,
		RunningVersion: version.Version,
		Paths: forwarded(slices.Concat(
			b.destinationPaths(),
			b.rulePaths(),
			b.rekeyPaths(),
			b.managedPaths(),
			b.planPaths(),
			b.trailPaths(),
			b.verifyPaths(),
			b.infoPaths(),
			b.lookupPaths(),
			b.keysPaths(),
			b.jobPaths(),
			b.remotePaths(),
			b.importPaths(),
			b.releasePaths(),
			b.statusPaths(),
			b.metricsPaths(),
			b.configPaths(),
			b.resumePaths(),
			b.releaseHeldPaths(),
			b.versionPaths(),
			b.secretPaths(),
			kvPaths,
		)),
		PathsSpecial: &logical.Paths{
			SealWrapStorage: slices.Concat(engine.SealWrapPaths(), schema.SealWrapPaths()),
		},
		InitializeFunc: b.initialize,
		PeriodicFunc:   b.periodic,
		Invalidate:     b.invalidate,
		Clean:          b.clean,
	}
	if err := b.Setup(ctx, conf); err != nil {
		return nil, fmt.Errorf("set up the backend: %w", err)
	}
	return b, nil
}

func titles(kinds []provider.Kind) string {
	names := make([]string, len(kinds))
	for i, kind := range kinds {
		names[i] = kind.Title
	}
	return strings.Join(names, ", ")
}

// forwarded makes nodes that may not write hand every change to the one that
// may, before it is begun, and every question about work to the one that does it.
func forwarded(paths []*framework.Path) []*framework.Path {
	for _, path := range paths {
		aboutWork := path.Pattern == metricsPath || slices.ContainsFunc([]string{"status", lookupPrefix, jobsPrefix, remotePrefix}, func(prefix string) bool {
			return strings.HasPrefix(path.Pattern, prefix)
		})
		byCloud := strings.HasPrefix(path.Pattern, "managed") // only the node that calls clouds can answer
		for operation, handler := range path.Operations {
			served, ok := handler.(*framework.PathOperation)
			changes := operation != logical.ReadOperation && operation != logical.ListOperation
			if ok && (changes || aboutWork || byCloud) {
				served.ForwardPerformanceStandby = true
				served.ForwardPerformanceSecondary = changes || byCloud
			}
		}
	}
	return paths
}

// initialize opens the mount and, where this node replicates, starts the work.
func (b *backend) initialize(ctx context.Context, req *logical.InitializationRequest) error {
	return b.start(ctx, req.Storage)
}

// periodic makes up for a start that failed.
func (b *backend) periodic(ctx context.Context, req *logical.Request) error {
	return b.start(ctx, req.Storage)
}

func (b *backend) start(ctx context.Context, storage logical.Storage) error {
	if !b.replicates() {
		return nil
	}
	e, err := b.open(ctx, storage)
	if err != nil {
		return err
	}
	e.Start()
	return nil
}

// replicates tells whether this node is the one that calls the clouds: the
// active node of the primary cluster, or of any cluster for a local mount.
func (b *backend) replicates() bool {
	state := b.System().ReplicationState()
	switch {
	case state.HasState(consts.ReplicationDRSecondary), state.HasState(consts.ReplicationPerformanceStandby):
		return false
	case state.HasState(consts.ReplicationPerformanceSecondary):
		return b.System().LocalMount()
	default:
		return true
	}
}

// open returns the mount's engine, opening store and engine the first time.
func (b *backend) open(ctx context.Context, storage logical.Storage) (*engine.Engine, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, errors.New("the mount is being shut down, try again")
	}
	if b.engine != nil {
		return b.engine, nil
	}
	conf := *b.conf
	conf.StorageView = storage
	store, err := kvstore.Open(ctx, &conf)
	if err != nil {
		return nil, err
	}
	e, err := engine.Open(ctx, engine.Options{
		Storage: storage, Store: store, Kinds: b.kinds, Logger: b.Logger(),
		UserAgent: "vault-plugin-secrets-cloudsync/" + version.Version,
		Announce:  b.announce,
	})
	if err != nil {
		store.Close(ctx)
		return nil, err
	}
	b.store, b.engine = store, e
	return e, nil
}

func (b *backend) invalidate(ctx context.Context, key string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.engine == nil {
		return
	}
	b.store.Invalidate(ctx, key)
	b.engine.Invalidate(key)
}

// clean stops all work. What is unfinished is marked in storage and goes on at
// the next start.
func (b *backend) clean(ctx context.Context) {
	b.mu.Lock()
	e, store := b.engine, b.store
	b.closed, b.engine, b.store = true, nil, nil
	b.mu.Unlock()
	if e != nil {
		e.Stop()
		store.Close(ctx)
	}
}

// HandleRequest serves a request.
func (b *backend) HandleRequest(ctx context.Context, req *logical.Request) (*logical.Response, error) {
	if err := knownType(req.Path, b.kinds); err != nil {
		return refused(err)
	}
	if err := decodeManaged(req, b.kinds); err != nil {
		return logical.ErrorResponse(err.Error()), logical.ErrInvalidRequest
	}
	if err := decodeData(req); err != nil {
		return logical.ErrorResponse(err.Error()), logical.ErrInvalidRequest
	}
	return b.Backend.HandleRequest(ctx, req)
}

// HandleExistenceCheck tells whether a write would create or update.
func (b *backend) HandleExistenceCheck(ctx context.Context, req *logical.Request) (checkFound, exists bool, err error) {
	check := *req
	check.Data = maps.Clone(req.Data)
	_ = decodeManaged(&check, b.kinds) // the request itself reports it
	if err := decodeData(&check); err != nil {
		// The request itself reports it, with the right status.
		delete(check.Data, "data")
	}
	return b.Backend.HandleExistenceCheck(ctx, &check)
}

// decodePairs lets pairs be given as one text: empty for none, and separated by
// commas where every part is a pair.
func decodePairs(text string) any {
	if strings.TrimSpace(text) == "" {
		return map[string]any{}
	}
	pairs := map[string]any{}
	for part := range strings.SplitSeq(text, ",") {
		key, value, isPair := strings.Cut(part, "=")
		if !isPair {
			return text
		}
		pairs[strings.TrimSpace(key)] = value
	}
	return pairs
}

// decodeData turns the data of a secret that came as text into a map, so that
// the CLI's data=@file.json works: it sends the content of the file as a string.
func decodeData(req *logical.Request) error {
	for _, name := range []string{fieldTags, fieldKMSKeyIDs, fieldCustomTags} {
		if text, isText := req.Data[name].(string); isText {
			req.Data[name] = decodePairs(text)
		}
	}
	text, isText := req.Data["data"].(string)
	if !isText || !strings.HasPrefix(req.Path, secretsPrefix) && !strings.HasPrefix(req.Path, planPrefix) {
		return nil
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var data map[string]any
	err := decoder.Decode(&data)
	if _, end := decoder.Token(); err != nil || data == nil || !errors.Is(end, io.EOF) {
		return errors.New("data isn't a JSON object; give an object, or data=@file with one, or value= for a plain string")
	}
	req.Data["data"] = data
	return nil
}
