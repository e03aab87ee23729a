# Everything that is done with this repository goes through here; `make` lists it.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PLUGIN  := vault-plugin-secrets-cloudsync
MODULE  := github.com/cloudsync-vault/$(PLUGIN)
BIN     := $(CURDIR)/bin
TOOLS   := $(BIN)/tools

# VERSION is set for a release only (make build VERSION=v1.2.3).
VERSION ?=
COMMIT  := $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X $(MODULE)/backend/version.Commit=$(COMMIT) \
           $(if $(VERSION),-X $(MODULE)/backend/version.Version=$(VERSION))

# The same source gives the same bytes, on every machine with this Go version.
GOBUILD := go build -trimpath -buildvcs=false -ldflags '$(LDFLAGS)'

# PKG and RUN narrow the tests: make test-unit PKG=./backend/... RUN=TestPlan
PKG ?= ./...
RUN ?=
COUNT ?= 6
ROUNDS ?= 100
SEED ?=
SCRIPTS := $(wildcard scripts/* .ci/*)

.PHONY: help
help: ## Show this list
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@ / { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z0-9-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

##@ Build

.PHONY: build
build: ## Build the plugin, the emulator and cloud-read into bin/
	CGO_ENABLED=0 $(GOBUILD) -o $(BIN)/ ./cmd/...
	@cd $(BIN) && sha256sum $(notdir $(wildcard cmd/*))

.PHONY: build-race
build-race: # as the end-to-end tests run them: with the race detector
	CGO_ENABLED=1 $(GOBUILD) -race -o $(BIN)/race/ ./cmd/...

.PHONY: vault
vault: ## Provide a real Vault as bin/vault, for demo and tests (first build: some minutes)
	@scripts/build-vault $(BIN)/vault

.PHONY: demo
demo: build vault ## Replicate a secret from a real Vault into emulated clouds, step by step
	@scripts/demo

.PHONY: clean
clean: ## Remove what was built, except the Vault and the tools
	rm -rf $(addprefix $(BIN)/,$(notdir $(wildcard cmd/*))) $(BIN)/race

.PHONY: distclean
distclean: ## Remove everything that was built
	rm -rf $(BIN)

##@ Test

.PHONY: test
test: test-unit test-e2e ## Run all tests with the race detector

.PHONY: test-unit
test-unit: $(TOOLS)/gotestsum ## Run the tests that need no Vault (PKG=./backend/... RUN=regexp)
	@CGO_ENABLED=1 $(TOOLS)/gotestsum --format pkgname-and-test-fails --hide-summary skipped --packages \
	  "$$(go list $(PKG) | grep -v '^$(MODULE)/test/e2e$$' | tr '\n' ' ')" -- -race -timeout 20m $(if $(RUN),-run '$(RUN)')

.PHONY: test-e2e
test-e2e: $(TOOLS)/gotestsum build-race vault ## Run the end-to-end tests: real Vault, real plugin, emulated clouds (RUN=regexp)
	@CGO_ENABLED=1 VAULT_BINARY=$(BIN)/vault PLUGIN_BINARY=$(BIN)/race/$(PLUGIN) EMULATOR_BINARY=$(BIN)/race/cloud-emulator \
	  $(TOOLS)/gotestsum --format testname -- -race -count=1 -p 1 -timeout 20m $(if $(RUN),-run '$(RUN)') ./test/...

.PHONY: test-model
test-model: ## Let anything happen at random in the model of Vault and clouds (DURATION=10m SEED=number)
	@CGO_ENABLED=1 MODEL_DURATION=$(or $(DURATION),10m) MODEL_SEED=$(SEED) \
	  go test -race -count=1 -timeout 0 -v -run '^TestAnythingMayHappenAndReplicasComeRight$$' ./backend

.PHONY: test-kill
test-kill: build-race vault ## Kill plugin, clouds and Vault in turn under load (ROUNDS=100 SEED=number)
	@cd test/e2e && CGO_ENABLED=1 VAULT_BINARY=$(BIN)/vault PLUGIN_BINARY=$(BIN)/race/$(PLUGIN) EMULATOR_BINARY=$(BIN)/race/cloud-emulator \
	  go test -race -count=1 -timeout 2h -v -run '^TestNothingIsLostWhateverIsKilled$$' . -args -kill-rounds $(ROUNDS) $(if $(SEED),-kill-seed $(SEED))

.PHONY: bench
bench: build vault $(TOOLS)/benchstat ## Measure speed, memory and remote calls, in about 10 minutes (RUN=regexp COUNT=6 LONG=1)
	@go test -p 1 -timeout 10m -run '^$$' -bench '$(or $(RUN),.)' -benchmem -benchtime 100ms -count $(COUNT) \
	  $(addprefix ./,$(sort $(dir $(wildcard backend/*_bench_test.go backend/*/*_bench_test.go test/bench/*_bench_test.go)))) \
	  | tee $(BIN)/bench.txt | awk '/^pkg:/ { print "bench: code of " $$2 } /FAIL/'
	@cd $(BIN) && $(TOOLS)/benchstat bench.txt
	@cd test/bench && VAULT_BINARY=$(BIN)/vault PLUGIN_BINARY=$(BIN)/$(PLUGIN) EMULATOR_BINARY=$(BIN)/cloud-emulator \
	  go test -count 1 -timeout 60m -run '$(or $(RUN),.)' -args -full $(if $(LONG),-long) -rounds $(COUNT) -figures $(BIN)/bench-programs.txt
	@cat $(BIN)/bench-programs.txt >>$(BIN)/bench.txt && rm $(BIN)/bench-programs.txt
	@echo 'bench: all figures are in bin/bench.txt; compare two such files with bin/tools/benchstat OLD NEW'

.PHONY: profile
profile: ## Profile the busy engine: what takes time and memory (bin/cpu.pprof, bin/mem.pprof)
	@mkdir -p $(BIN)
	@go test -run '^$$' -bench Replicate -benchtime 10000x -o $(BIN)/bench.test \
	  -cpuprofile $(BIN)/cpu.pprof -memprofile $(BIN)/mem.pprof ./test/bench
	@go tool pprof -top -cum -nodecount 40 -relative_percentages -ignore 'internal/emulator|net/http.*conn..serve' $(BIN)/bench.test $(BIN)/cpu.pprof 2>/dev/null
	@go tool pprof -top -cum -nodecount 40 -relative_percentages -sample_index alloc_space -ignore 'internal/emulator|net/http.*conn..serve' $(BIN)/bench.test $(BIN)/mem.pprof 2>/dev/null

##@ Check

.PHONY: check
check: $(TOOLS)/golangci-lint ## Check format, vet, lint, module files and scripts
	$(TOOLS)/golangci-lint fmt --diff
	go vet ./...
	$(TOOLS)/golangci-lint run
	go mod tidy -diff
	for script in $(SCRIPTS); do bash -n "$$script"; done

.PHONY: fmt
fmt: $(TOOLS)/golangci-lint ## Format the Go code
	$(TOOLS)/golangci-lint fmt

.PHONY: vulncheck
vulncheck: $(TOOLS)/govulncheck ## Look for known vulnerabilities (needs vuln.go.dev)
	$(TOOLS)/govulncheck ./...

$(TOOLS)/golangci-lint: tools/lint/go.mod tools/lint/go.sum
	cd tools/lint && go build -trimpath -buildvcs=false -o $@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

$(TOOLS)/gotestsum: tools/go.mod tools/go.sum
	cd tools && go build -trimpath -buildvcs=false -o $@ gotest.tools/gotestsum

$(TOOLS)/govulncheck: tools/go.mod tools/go.sum
	cd tools && go build -trimpath -buildvcs=false -o $@ golang.org/x/vuln/cmd/govulncheck

$(TOOLS)/benchstat: tools/go.mod tools/go.sum
	cd tools && go build -trimpath -buildvcs=false -o $@ golang.org/x/perf/cmd/benchstat
