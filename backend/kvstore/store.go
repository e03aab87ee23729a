// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

// Package kvstore holds the versioned values: HashiCorp's KV v2 secrets engine,
// embedded as a library on a view of the mount's storage.
//
// Requests on KV paths are handed to it unchanged, so that they behave on the
// wire as the KV v2 engine does. The typed methods are for the engine, and go
// through the same requests. Nothing here knows of replication.
package kvstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	kv "github.com/hashicorp/vault-plugin-secrets-kv"
	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
)

const (
	// viewPrefix is where the store lives in the mount's storage.
	viewPrefix = "kv/"
	// instance is the name that the library prefixes its entries with. Vault
	// gives the built-in engine the mount's UUID for it; here the view already
	// separates the store, and a fixed name survives a mount move.
	instance = "v2"
)

// PathNames are the KV v2 paths that are served unchanged, each with the path
// of an example request that the library routes to it.
var PathNames = []string{"data/", "metadata/", "delete/", "undelete/", "destroy/", "subkeys/"}

// Store is an open store. It is safe for concurrent use.
type Store struct{ inner logical.Backend }

// Open opens the store in conf.StorageView. It must not be called before the
// mount's storage is usable, which it is from the initialisation on.
func Open(ctx context.Context, conf *logical.BackendConfig) (*Store, error) {
	own := *conf
	own.BackendUUID = instance
	own.StorageView = logical.NewStorageView(conf.StorageView, viewPrefix)
	own.Config = map[string]string{}
	// The library's observations hold lists of a type that doesn't travel from a
	// plugin to Vault: each would be an error in Vault's log.
	own.ObservationRecorder = nil
	inner, err := kv.VersionedKVFactory(ctx, &own)
	if err != nil {
		return nil, fmt.Errorf("open the KV v2 store: %w", err)
	}
	return &Store{inner: inner}, nil
}

// Close stops the store's background work.
func (s *Store) Close(ctx context.Context) { s.inner.Cleanup(ctx) }

// Handle serves a request on a KV path. The request isn't changed.
func (s *Store) Handle(ctx context.Context, req *logical.Request) (*logical.Response, error) {
	own := *req
	own.Storage = logical.NewStorageView(req.Storage, viewPrefix)
	return s.inner.HandleRequest(ctx, &own)
}

// versionData is where the library keeps the values of versions. Nobody sees one
// before the secret's list of versions names it, which is written afterwards.
const versionData = viewPrefix + instance + "/versions/"

// HandleAfter serves a request like Handle, but no change of it can be seen before
// ready returns nil: meanwhile at most the value of a new version is stored. An
// error of ready ends the request.
func (s *Store) HandleAfter(ctx context.Context, req *logical.Request, ready func() error) (*logical.Response, error) {
	after := *req
	after.Storage = &gatedStorage{Storage: req.Storage, ready: ready}
	return s.Handle(ctx, &after)
}

// gatedStorage holds writes back until something else is stored.
type gatedStorage struct {
	logical.Storage
	ready func() error
}

func (s *gatedStorage) Put(ctx context.Context, entry *logical.StorageEntry) error {
	if !strings.HasPrefix(entry.Key, versionData) {
		if err := s.ready(); err != nil {
			return err
		}
	}
	return s.Storage.Put(ctx, entry)
}

func (s *gatedStorage) Delete(ctx context.Context, key string) error {
	if err := s.ready(); err != nil {
		return err
	}
	return s.Storage.Delete(ctx, key)
}

// Exists is the existence check of a request on a KV path, which tells Vault
// whether a write is a create or an update.
func (s *Store) Exists(ctx context.Context, req *logical.Request) (bool, error) {
	own := *req
	own.Storage = logical.NewStorageView(req.Storage, viewPrefix)
	_, exists, err := s.inner.HandleExistenceCheck(ctx, &own)
	return exists, err
}

// Invalidate drops what is cached of a storage key of the mount.
func (s *Store) Invalidate(ctx context.Context, key string) {
	if own, found := strings.CutPrefix(key, viewPrefix); found {
		s.inner.InvalidateKey(ctx, own)
	}
}

// Schema is what the library says of itself, for the definition of the mount's
// paths: it opens a store on throw-away storage, since the real one can't be
// opened while a plugin is only being asked what it is.
type Schema struct{ inner logical.Backend }

// NewSchema returns the library's schema.
func NewSchema(ctx context.Context) (*Schema, error) {
	inner, err := kv.VersionedKVFactory(ctx, &logical.BackendConfig{
		BackendUUID: instance,
		StorageView: &logical.InmemStorage{},
		System:      logical.StaticSystemView{},
		Logger:      hclog.NewNullLogger(),
	})
	if err != nil {
		return nil, fmt.Errorf("read the schema of the KV v2 library: %w", err)
	}
	return &Schema{inner: inner}, nil
}

// Path returns the library's definition of the path that serves route.
func (s *Schema) Path(route string) (*framework.Path, error) {
	router, ok := s.inner.(interface{ Route(string) *framework.Path })
	if !ok {
		return nil, errors.New("the KV v2 library no longer tells its routes")
	}
	path := router.Route(route)
	if path == nil {
		return nil, fmt.Errorf("the KV v2 library has no path for %q", route)
	}
	return path, nil
}

// SealWrapPaths returns the mount's storage paths that the library wants
// wrapped with the seal.
func (s *Schema) SealWrapPaths() []string {
	special := s.inner.SpecialPaths()
	if special == nil {
		return nil
	}
	paths := make([]string, len(special.SealWrapStorage))
	for i, path := range special.SealWrapStorage {
		paths[i] = viewPrefix + path
	}
	return paths
}

// Metadata is a secret's list of versions.
type Metadata struct {
	Current uint64 // the highest version ever made
	Oldest  uint64
	// CreatedTime is when the name was first written. It differs after the
	// secret was deleted with all its versions and made anew.
	CreatedTime time.Time
	Versions    map[uint64]VersionInfo
	// CustomMetadata is what users attached to the secret.
	CustomMetadata map[string]string
}

// VersionInfo is what is known of a version besides its value.
type VersionInfo struct {
	CreatedTime  time.Time
	DeletionTime time.Time // zero unless deleted, or to be deleted then
	Destroyed    bool
}

// Live tells whether the version can be read at the time now.
func (v VersionInfo) Live(now time.Time) bool {
	return !v.Destroyed && (v.DeletionTime.IsZero() || v.DeletionTime.After(now))
}

// Newest returns the highest version that is live at the time now; 0 if none is.
func (m *Metadata) Newest(now time.Time) uint64 {
	for _, number := range slices.Backward(slices.Sorted(maps.Keys(m.Versions))) {
		if m.Versions[number].Live(now) {
			return number
		}
	}
	return 0
}

// ReadMetadata returns the metadata of the secret name, nil if there is none.
// One storage read.
func (s *Store) ReadMetadata(ctx context.Context, storage logical.Storage, name string) (*Metadata, error) {
	resp, err := s.Handle(ctx, &logical.Request{Operation: logical.ReadOperation, Path: "metadata/" + name, Storage: storage})
	if err := failure("read the metadata", resp, err); err != nil {
		return nil, err
	}
	if resp == nil || resp.Data == nil {
		return nil, nil
	}
	meta := &Metadata{Versions: map[uint64]VersionInfo{}, CreatedTime: parseTime(resp.Data["created_time"])}
	meta.Current, _ = resp.Data["current_version"].(uint64)
	meta.Oldest, _ = resp.Data["oldest_version"].(uint64)
	meta.CustomMetadata, _ = resp.Data["custom_metadata"].(map[string]string)
	versions, _ := resp.Data["versions"].(map[string]any)
	for text, raw := range versions {
		number, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("the KV v2 library names a version %q", text)
		}
		info, _ := raw.(map[string]any)
		meta.Versions[number] = versionInfo(info)
	}
	return meta, nil
}

// List returns the names below a folder, which is "" or ends with a slash; those
// that end with a slash are folders.
func (s *Store) List(ctx context.Context, storage logical.Storage, folder string) ([]string, error) {
	resp, err := s.Handle(ctx, &logical.Request{Operation: logical.ListOperation, Path: "metadata/" + folder, Storage: storage})
	if err := failure("list the names", resp, err); err != nil {
		return nil, err
	}
	if resp == nil {
		return nil, nil
	}
	names, _ := resp.Data["keys"].([]string)
	return names, nil
}

// Version is one readable version of a secret.
type Version struct {
	Number uint64
	VersionInfo
	Data           map[string]any
	CustomMetadata map[string]string
}

// ReadVersion returns a version of the secret name, the newest for number 0. It
// is nil if the secret or version is absent, deleted or destroyed. Two storage
// reads.
func (s *Store) ReadVersion(ctx context.Context, storage logical.Storage, name string, number uint64) (*Version, error) {
	req := &logical.Request{Operation: logical.ReadOperation, Path: "data/" + name, Storage: storage}
	if number > 0 {
		req.Data = map[string]any{"version": strconv.FormatUint(number, 10)}
	}
	resp, err := s.Handle(ctx, req)
	if err := failure("read the value", resp, err); err != nil {
		return nil, err
	}
	if resp == nil || resp.Data[logical.HTTPStatusCode] != nil {
		return nil, nil
	}
	data, ok := resp.Data["data"].(map[string]any)
	if !ok {
		return nil, nil
	}
	meta, _ := resp.Data["metadata"].(map[string]any)
	version := &Version{Data: data, VersionInfo: versionInfo(meta)}
	version.Number, _ = meta["version"].(uint64)
	version.CustomMetadata, _ = meta["custom_metadata"].(map[string]string)
	return version, nil
}

// WriteRequest makes the request that writes data as a new version of the
// secret name, on behalf of the caller of origin. A nil cas means no check.
func WriteRequest(origin *logical.Request, name string, data map[string]any, cas *int) *logical.Request {
	req := *origin
	req.Operation = logical.UpdateOperation
	req.Path = "data/" + name
	req.Data = map[string]any{"data": data}
	if cas != nil {
		req.Data["options"] = map[string]any{"cas": *cas}
	}
	return &req
}

// DeleteRequest makes the request that removes the secret name with all its
// versions, on behalf of the caller of origin.
func DeleteRequest(origin *logical.Request, name string) *logical.Request {
	req := *origin
	req.Operation = logical.DeleteOperation
	req.Path = "metadata/" + name
	req.Data = nil
	return &req
}

// DestroyRequest makes the request that destroys one version.
func DestroyRequest(origin *logical.Request, name string, number uint64) *logical.Request {
	req := *origin
	req.Operation = logical.UpdateOperation
	req.Path = "destroy/" + name
	req.Data = map[string]any{"versions": []int{int(number)}} //nolint:gosec // version numbers are small
	return &req
}

// Failed tells whether the library refused or failed to carry out a request.
func Failed(resp *logical.Response, err error) bool {
	return err != nil || resp.IsError() || StatusCode(resp) >= http.StatusBadRequest
}

// StatusCode is the HTTP status that resp sets by itself, 0 if it doesn't.
func StatusCode(resp *logical.Response) int {
	if resp == nil {
		return 0
	}
	code, _ := resp.Data[logical.HTTPStatusCode].(int)
	return code
}

func failure(what string, resp *logical.Response, err error) error {
	if err != nil {
		return fmt.Errorf("%s from the KV v2 store: %w", what, err)
	}
	if resp.IsError() {
		return fmt.Errorf("%s from the KV v2 store: %w", what, resp.Error())
	}
	return nil
}

func versionInfo(raw map[string]any) VersionInfo {
	destroyed, _ := raw["destroyed"].(bool)
	return VersionInfo{
		CreatedTime:  parseTime(raw["created_time"]),
		DeletionTime: parseTime(raw["deletion_time"]),
		Destroyed:    destroyed,
	}
}

func parseTime(raw any) time.Time {
	text, _ := raw.(string)
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}
	}
	return t
}

// WrittenVersion reads the number of the version that a write made from its
// answer; 0 if the answer has none.
func WrittenVersion(resp *logical.Response) uint64 {
	if resp == nil {
		return 0
	}
	switch number := resp.Data["version"].(type) {
	case uint64:
		return number
	case json.Number:
		n, _ := strconv.ParseUint(number.String(), 10, 64)
		return n
	default:
		return 0
	}
}
