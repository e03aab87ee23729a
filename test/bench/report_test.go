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
	"testing"
	"text/tabwriter"
	"time"
)

var (
	full    = flag.Bool("full", false, "measure with many secrets, and print the figures")
	rounds  = flag.Int("rounds", 6, "how often to measure what varies, with -full")
	outPath = flag.String("figures", "", "file to write the figures to in the benchmark format, for benchstat")
)

// effort is how much is measured.
type effort struct {
	rounds   int           // of what varies from one to the next
	longest  time.Duration // for all rounds together; the first one is never cut short
	writes   int           // in a row, for a latency
	secrets  int           // for memory and recovery
	versions int           // of each of them, for memory
}

func measured() effort {
	if *full {
		return effort{rounds: *rounds, longest: 90 * time.Second, writes: 60, secrets: 1000, versions: 10}
	}
	return effort{rounds: 1, longest: time.Hour, writes: 8, secrets: 8, versions: 2}
}

var figures report

func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	if *full {
		figures.print(os.Stdout)
	}
	if err := figures.write(*outPath); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
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

// report is what was measured: tables for people, and lines for benchstat.
type report struct {
	tables []*table
	lines  []string
}

type table struct {
	title string
	rows  [][]string
}

func (r *report) table(title string, header ...string) *table {
	t := &table{title: title, rows: [][]string{header}}
	r.tables = append(r.tables, t)
	return t
}

// row adds a row. Durations are shown in ms or s, sizes in MB.
func (t *table) row(cells ...any) {
	row := make([]string, len(cells))
	for i, cell := range cells {
		switch value := cell.(type) {
		case time.Duration:
			row[i] = strconv.FormatFloat(value.Seconds()*1e3, 'f', 2, 64) + " ms"
			if value >= time.Second {
				row[i] = strconv.FormatFloat(value.Seconds(), 'f', 1, 64) + " s"
			}
		case size:
			row[i] = strconv.FormatFloat(float64(value)/1e6, 'f', 1, 64) + " MB"
		case float64:
			row[i] = strconv.FormatFloat(value, 'f', 0, 64)
		default:
			row[i] = fmt.Sprint(value)
		}
	}
	t.rows = append(t.rows, row)
}

// size is a number of bytes.
type size int64

// value is one figure in the benchmark format.
type value struct {
	amount float64
	unit   string
}

func nanoseconds(d time.Duration, unit string) value { return value{float64(d), unit} }
func bytes(n size, unit string) value                { return value{float64(n), unit} }

// line adds figures of n repetitions under a name such as Write/clients=8.
func (r *report) line(name string, n int, values ...value) {
	var b strings.Builder
	fmt.Fprintf(&b, "Benchmark%s\t%d", name, n)
	for _, v := range values {
		fmt.Fprintf(&b, "\t%s %s", strconv.FormatFloat(v.amount, 'f', -1, 64), v.unit)
	}
	r.lines = append(r.lines, b.String())
}

func (r *report) print(w io.Writer) {
	for _, t := range r.tables {
		_, _ = fmt.Fprintf(w, "\n%s\n\n", t.title)
		columns := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
		for _, row := range t.rows {
			_, _ = fmt.Fprintf(columns, "  %s\n", strings.Join(row, "\t"))
		}
		_ = columns.Flush()
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
