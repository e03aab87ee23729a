// Copyright (c) The cloudsync authors.
// SPDX-License-Identifier: MPL-2.0

// Command cloud-emulator is a local stand-in for the secret managers of the
// clouds. Run it with -h for its options.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	// A second signal ends the process at once.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)

	switch err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintf(os.Stderr, "cloud-emulator: %v\n", err)
		os.Exit(1)
	}
}
