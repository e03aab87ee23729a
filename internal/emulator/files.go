// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package emulator

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Files keeps documents by key, one file each. A write replaces the document
// as a whole: whoever reads after the process was killed finds the old or the
// new one. It doesn't wait for the disk, so a crash of the machine may lose
// writes. The nil *Files keeps nothing. Callers serialise calls for one key.
type Files struct{ dir string }

// document is a file's content. The key stands inside because file names are
// digests: names of secrets may be too long for a file, or differ in case only.
type document struct {
	Key  string          `json:"key"`
	Body json.RawMessage `json:"body"`
}

const (
	documentSuffix = ".json"
	partialSuffix  = ".partial"
)

// OpenFiles returns the documents in dir, which is made if it doesn't exist.
// With dir "" nothing is kept.
func OpenFiles(dir string) (*Files, error) {
	if dir == "" {
		return nil, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data directory: %w", err)
	}
	return &Files{dir: dir}, nil
}

func (f *Files) path(key string) string {
	digest := sha256.Sum256([]byte(key))
	return filepath.Join(f.dir, hex.EncodeToString(digest[:])+documentSuffix)
}

// Put stores body, encoded as JSON, under key.
func (f *Files) Put(key string, body any) error {
	if f == nil {
		return nil
	}
	encoded, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("encode %s: %w", key, err)
	}
	content, err := json.Marshal(document{Key: key, Body: encoded})
	if err != nil {
		return fmt.Errorf("encode %s: %w", key, err)
	}
	path := f.path(key)
	if err := os.WriteFile(path+partialSuffix, content, 0o600); err != nil {
		return fmt.Errorf("store %s: %w", key, err)
	}
	if err := os.Rename(path+partialSuffix, path); err != nil {
		return fmt.Errorf("store %s: %w", key, err)
	}
	return nil
}

// Delete removes the document of key; an absent one is success.
func (f *Files) Delete(key string) error {
	if f == nil {
		return nil
	}
	if err := os.Remove(f.path(key)); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("remove %s: %w", key, err)
	}
	return nil
}

// Each calls visit with every document, in no order, until it returns an error.
func (f *Files) Each(visit func(key string, body json.RawMessage) error) error {
	if f == nil {
		return nil
	}
	entries, err := os.ReadDir(f.dir)
	if err != nil {
		return fmt.Errorf("read the data directory: %w", err)
	}
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), documentSuffix) {
			continue
		}
		content, err := os.ReadFile(filepath.Join(f.dir, entry.Name()))
		if err != nil {
			return fmt.Errorf("read the data directory: %w", err)
		}
		var d document
		if err := json.Unmarshal(content, &d); err != nil {
			return fmt.Errorf("data file %s: not written by an emulator: %w", entry.Name(), err)
		}
		if err := visit(d.Key, d.Body); err != nil {
			return fmt.Errorf("data file %s: %w", entry.Name(), err)
		}
	}
	return nil
}
