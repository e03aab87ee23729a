// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package harness

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// graceful is how long a process may take to end when asked.
const graceful = 20 * time.Second

// shownLines is how much of its output is shown when a process fails to start.
const shownLines = 40

// process is a program that can be started, killed and started again. Its
// methods are for one goroutine.
type process struct {
	tb   testing.TB
	name string
	path string
	args []string
	env  []string // in addition to the test's own
	dir  string   // for NAME.out, made anew with each start, and NAME.log, which goes on

	cmd   *exec.Cmd // nil before the first start
	ended chan struct{}
}

func (p *process) outPath() string { return filepath.Join(p.dir, p.name+".out") }
func (p *process) logPath() string { return filepath.Join(p.dir, p.name+".log") }

// start runs the program until the test ends, and returns at once.
func (p *process) start() {
	p.tb.Helper()
	out := p.open(p.outPath(), os.O_TRUNC)
	log := p.open(p.logPath(), os.O_APPEND)
	defer func() { _, _ = out.Close(), log.Close() }()

	if p.cmd == nil {
		p.tb.Cleanup(func() {
			p.stop()
			p.checkLog()
		})
	}
	// Not the test's context: that ends before the clean-up, which stops the
	// processes in order.
	p.cmd = exec.CommandContext(context.WithoutCancel(p.tb.Context()), p.path, p.args...)
	// The race detector would let every process wait for a second at its end.
	p.cmd.Env = append(append(os.Environ(), "GORACE=atexit_sleep_ms=0"), p.env...)
	p.cmd.Stdout, p.cmd.Stderr = out, log
	p.cmd.SysProcAttr = dieWithTest()
	if err := p.cmd.Start(); err != nil {
		p.tb.Fatalf("start %s: %v", p.name, err)
	}
	cmd, ended := p.cmd, make(chan struct{})
	p.ended = ended
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
}

// checkLog fails the test if the program, or a plugin that logs through it, was
// built with the race detector and that found something, or if it panicked.
func (p *process) checkLog() {
	log, _ := os.ReadFile(p.logPath())
	out, _ := os.ReadFile(p.outPath())
	for _, sign := range []string{"WARNING: DATA RACE", "panic: ", "fatal error: "} {
		if bytes.Contains(log, []byte(sign)) || bytes.Contains(out, []byte(sign)) {
			p.tb.Errorf("%s has logged %q, see %s", p.name, sign, p.logPath())
		}
	}
}

func (p *process) open(path string, mode int) *os.File {
	p.tb.Helper()
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|mode, 0o600)
	if err != nil {
		p.tb.Fatalf("open the output of %s: %v", p.name, err)
	}
	return file
}

// ready waits until look returns nil.
func (p *process) ready(look func() error) {
	p.tb.Helper()
	if err := poll(look, p.ended); err != nil {
		p.tb.Fatalf("start %s: %v\n%s", p.name, err, p.lastLines())
	}
}

// kill ends the process as a crash does.
func (p *process) kill() { p.signal(syscall.SIGKILL) }

// stop asks the process to end and waits for it.
func (p *process) stop() { p.signal(syscall.SIGTERM) }

// signal ends the process by a signal, at last by SIGKILL. One that has ended
// already is left alone.
func (p *process) signal(s syscall.Signal) {
	if p.cmd == nil || p.cmd.Process == nil {
		return // its start has failed
	}
	select {
	case <-p.ended:
		return
	default:
	}
	_ = p.cmd.Process.Signal(s)
	timer := time.NewTimer(graceful)
	defer timer.Stop()
	select {
	case <-p.ended:
	case <-timer.C:
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}

// lastLines is the end of what the process printed and logged.
func (p *process) lastLines() string {
	var b strings.Builder
	for _, path := range []string{p.outPath(), p.logPath()} {
		text, _ := os.ReadFile(path)
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		fmt.Fprintf(&b, "--- end of %s\n%s\n", filepath.Base(path), strings.Join(lines[max(0, len(lines)-shownLines):], "\n"))
	}
	return b.String()
}

// children lists the running processes that parent started, by /proc.
func children(parent int) []int {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	var pids []int
	for _, path := range stats {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended meanwhile
		}
		// pid (name) state ppid ...; the name may hold anything.
		_, rest, _ := strings.Cut(string(stat), ") ")
		fields := strings.Fields(rest)
		if len(fields) < 2 || fields[0] == "Z" || fields[1] != strconv.Itoa(parent) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// runs tells whether the process pid runs the program at path, so that a pid
// that belongs to somebody else by now is never signalled.
func runs(pid int, path string) bool {
	exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	return err == nil && strings.TrimSuffix(exe, " (deleted)") == path
}
