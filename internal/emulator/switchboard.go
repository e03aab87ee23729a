// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package emulator

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
)

// Switchboard holds the switches of one service, and makes a server that embeds
// it [Switched]. T is a struct of plain fields, whose zero value is the default.
// It is safe for concurrent use.
type Switchboard[T any] struct {
	check func(T) error

	mu       sync.Mutex
	switches T
}

// NewSwitchboard returns switches in a first position. check refuses positions
// that make no sense.
func NewSwitchboard[T any](first T, check func(T) error) (*Switchboard[T], error) {
	s := &Switchboard[T]{check: check}
	if err := s.Switch(first); err != nil {
		return nil, err
	}
	return s, nil
}

// Switch replaces all switches.
func (s *Switchboard[T]) Switch(to T) error {
	if err := s.check(to); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.switches = to
	return nil
}

// CurrentSwitches returns all switches.
func (s *Switchboard[T]) CurrentSwitches() T {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.switches
}

// Switches returns the switches as JSON, for the control API.
func (s *Switchboard[T]) Switches() json.RawMessage {
	encoded, _ := json.Marshal(s.CurrentSwitches()) // a struct of plain fields always encodes
	return encoded
}

// SetSwitches is Switch for the control API.
func (s *Switchboard[T]) SetSwitches(raw json.RawMessage) error {
	var to T
	if err := DecodeStrict(raw, &to); err != nil {
		return fmt.Errorf("read the switches: %w", err)
	}
	return s.Switch(to)
}

// DecodeStrict decodes one JSON value; members that into doesn't have are
// errors, and so is anything that follows the value.
func DecodeStrict(data []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the JSON value")
	}
	return nil
}
