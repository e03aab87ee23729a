// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

package bench

import (
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"
)

var figures report

func TestMain(m *testing.M) {
	flag.Parse()
	before := machineBusy()
	code := m.Run()
	if *full {
		figures.section("This machine")
		figures.note("processors", strconv.Itoa(runtime.NumCPU()))
		busy := machineBusy() - before
		figures.note("processor time taken by programs that don't belong to the benchmark", fmt.Sprintf("%.0f %%", 100*max(0, 1-ownTime().Seconds()/busy.Seconds())))
		figures.print(os.Stdout)
	}
	if err := figures.write(*outPath); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// machineBusy is how long the machine's processors have worked since its start.
func machineBusy() time.Duration {
	stat, _ := os.ReadFile("/proc/stat")
	var user, nice, system, idle, waiting, interrupts, soft, stolen int64
	if _, err := fmt.Sscanf(string(stat), "cpu %d %d %d %d %d %d %d %d", &user, &nice, &system, &idle, &waiting, &interrupts, &soft, &stolen); err != nil {
		return 0
	}
	const tick = 10 * time.Millisecond // in which Linux counts, on all its platforms
	return time.Duration(user+nice+system+interrupts+soft+stolen) * tick
}

// ownTime is the processor time of this process and of all that it started and
// that have ended.
func ownTime() (sum time.Duration) {
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var usage syscall.Rusage
		if syscall.Getrusage(who, &usage) == nil {
			sum += time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
		}
	}
	return sum
}

// progress says what is being measured now.
func progress(tb testing.TB, format string, args ...any) {
	tb.Helper()
	if *full {
		fmt.Fprintf(os.Stderr, "bench: "+format+"\n", args...)
		return
	}
	tb.Logf(format, args...)
}

// report is what was measured: one table for people, and lines for benchstat.
type report struct {
	rows  [][]string
	lines []string
}

var header = []string{"figure", "measured", "compared with", "ratio", "goal", "met"}

// section begins a group of figures.
func (r *report) section(title string) { r.rows = append(r.rows, []string{"**" + title + "**"}) }

// note adds a figure that nothing is demanded of.
func (r *report) note(figure, measured string) {
	r.rows = append(r.rows, []string{figure, measured, "", "", "report", ""})
}

// relate adds a figure with its ratio to another one, of which nothing is
// demanded.
func (r *report) relate(figure, measured, reference string, ratio float64) {
	r.rows = append(r.rows, []string{figure, measured, reference, decimals(ratio), "report", ""})
}

// judge adds a figure whose ratio to another one of this run has a goal.
func (r *report) judge(figure, measured, reference string, ratio float64, g goal) {
	r.rows = append(r.rows, []string{figure, measured, reference, decimals(ratio), g.String(), g.verdict(ratio)})
}

// goal is what a ratio ought to be at least, or at most.
type goal struct {
	bound  float64
	atMost bool
}

func atLeast(bound float64) goal { return goal{bound: bound} }
func atMost(bound float64) goal  { return goal{bound: bound, atMost: true} }

func (g goal) String() string {
	sign := ">= "
	if g.atMost {
		sign = "<= "
	}
	return sign + strconv.FormatFloat(g.bound, 'f', -1, 64)
}

func (g goal) verdict(ratio float64) string {
	if g.atMost && ratio <= g.bound || !g.atMost && ratio >= g.bound {
		return "yes"
	}
	return "**no**"
}

func decimals(x float64) string { return strconv.FormatFloat(x, 'f', 2, 64) }

// short writes a duration in ms or s.
func short(d time.Duration) string {
	if d >= time.Second {
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
	}
	return strconv.FormatFloat(d.Seconds()*1e3, 'f', 1, 64) + " ms"
}

// per writes a rate.
func per(rate float64, what string) string {
	digits := 0
	if rate < 100 {
		digits = 1
	}
	return strconv.FormatFloat(rate, 'f', digits, 64) + " " + what + "/s"
}

func megabytes(n int64) string { return strconv.FormatFloat(float64(n)/1e6, 'f', 1, 64) + " MB" }

// value is one figure in the benchmark format.
type value struct {
	amount float64
	unit   string
}

func nanoseconds(d time.Duration, unit string) value { return value{float64(d), unit} }
func bytes(n int64, unit string) value               { return value{float64(n), unit} }

// line adds figures of n repetitions under a name such as Write/clients=8.
func (r *report) line(name string, n int, values ...value) {
	var b strings.Builder
	fmt.Fprintf(&b, "Benchmark%s\t%d", name, n)
	for _, v := range values {
		fmt.Fprintf(&b, "\t%s %s", strconv.FormatFloat(v.amount, 'f', -1, 64), v.unit)
	}
	r.lines = append(r.lines, b.String())
}

// print writes the table in Markdown, with columns that also line up as text.
func (r *report) print(w io.Writer) {
	widths := make([]int, len(header))
	for _, row := range append([][]string{header}, r.rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	line := func(row []string, filler string) {
		for i, width := range widths {
			cell := ""
			if i < len(row) {
				cell = row[i]
			}
			_, _ = fmt.Fprintf(w, "| %s%s ", cell, strings.Repeat(filler, width-utf8.RuneCountInString(cell)))
		}
		_, _ = fmt.Fprintln(w, "|")
	}
	_, _ = fmt.Fprintln(w)
	line(header, " ")
	line(nil, "-")
	for _, row := range r.rows {
		line(row, " ")
	}
	_, _ = fmt.Fprintln(w)
}

func (r *report) write(path string) error {
	if path == "" {
		return nil
	}
	head := []string{"goos: " + runtime.GOOS, "goarch: " + runtime.GOARCH, "pkg: test/bench"}
	text := strings.Join(append(head, r.lines...), "\n") + "\n"
	return os.WriteFile(path, []byte(text), 0o600)
}

// quantile is the value below which the share q of the samples lies.
func quantile(samples []time.Duration, q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(samples))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}
