# Every command of the project. Bare `make` lists them.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help quick test test-deployment setup clients fmt lint doc unit it test-clients test-console test-chart test-compose test-systemd \
	test-openapi test-net test-valkey image sbom fuzz supply soak model mutants docs flood bench bench-check bench-flame \
	bench-parts bench-shared bench-steps bench-entries profile simulation picture demo run

# Where `make setup` puts a tool that needs no place of its own in the system.
export PATH := $(CURDIR)/target/tools/usr/bin:$(PATH)

say = @printf '\n==> %s\n' "$(1)"
# One process a test, and a hanging test is ended, where nextest is there.
tests := $(shell cargo nextest --version >/dev/null 2>&1 && \
	echo "nextest run --cargo-quiet --status-level fail" || echo "test --quiet --no-fail-fast")

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

# The tests come last: whoever reads the end of the output reads their count.
test: setup clients fmt lint doc test-deployment test-valkey ## the whole check: format, lints, examples, the chart, what a hit costs, every test
	$(call say,tests: all of them)
	@cargo $(tests) --locked --features test-clients

# The tests of the chart take minutes and seldom both cores, so they run beside the rest.
test-deployment: setup
	$(call say,chart and alerts and dashboard: beside the next stages (a first run fetches its tools))
	@cargo build --quiet --locked
	@mkdir -p target; tools/chart/test.sh >target/chart.log 2>&1 & chart=$$!; code=0; \
		$(MAKE) --no-print-directory test-compose test-systemd test-openapi bench-check || code=$$?; \
		wait $$chart || code=$$?; cat target/chart.log; exit $$code

quick: ## the fast loop: format, clippy of the library, unit tests
	$(call say,format)
	@cargo fmt --all --check
	$(call say,lints of the library)
	@cargo clippy --quiet --locked --lib -- -D warnings
	$(call say,unit tests)
	@cargo $(tests) --locked --lib

setup: ## say what is missing, and install it where that is possible
	$(call say,setup)
	@tools/setup.sh

clients:
	$(call say,Graph's own clients and the browser for the tests)
	@tests/sdk_clients/prepare
	@tests/console/prepare

fmt: ## check the format (`cargo fmt --all` repairs it)
	$(call say,format)
	@cargo fmt --all --check

lint: ## clippy with warnings as errors: with every feature, without the demo, with none; the fuzz targets fit
	$(call say,lints (a first build takes some minutes))
	@cargo clippy --quiet --locked --all-targets --features test-clients,test-net -- -D warnings
	$(call say,lints: without the demo)
	@cargo clippy --quiet --locked --all-targets --no-default-features --features otlp -- -D warnings
	$(call say,lints: without any feature)
	@cargo clippy --quiet --locked --all-targets --no-default-features -- -D warnings
	$(call say,lints: whether the fuzz targets still fit)
	@# Nothing is linked, so libFuzzer, which is C++, need not be built.
	@CUSTOM_LIBFUZZER_PATH=/dev/null cargo check --quiet --locked -p connector-cache-fuzz

docs: ## generate the references and the chart's values of `config.*` from the code
	$(call say,references: from the code)
	@UPDATE_DOCS=1 cargo test --quiet --locked --test docs
	@python=target/tools/python/bin/python; [ -x $$python ] || python=python3; $$python tools/chart/generate_readme.py

doc: ## the examples in the documentation
	$(call say,examples)
	@cargo test --quiet --locked --doc

unit: ## the tests beside the code
	$(call say,tests: beside the code)
	@cargo $(tests) --locked --lib --bins

it: ## the tests of the whole, in tests/
	$(call say,tests: of the whole)
	@cargo $(tests) --locked --test '*'

test-clients: setup clients ## Graph's SDKs for Python and JavaScript, curl and the .NET shape, before the proxy
	@cargo $(tests) --locked --features test-clients --test sdk_clients

test-console: setup clients ## the console in Chromium, and its figures; pictures in target/console-pictures
	@cargo test --quiet --locked --features test-clients --test console -- --nocapture

test-chart: setup ## the Helm chart, alerts and dashboard: Helm 3 and 4, promtool, a real Prometheus; a pod where there is an image
	$(call say,chart and alerts and dashboard (a first run fetches its tools))
	@tools/chart/test.sh

test-compose: setup ## compose.yaml: the schema of the specification, podman-compose, and its commands without containers
	$(call say,compose file (a first run fetches its tools))
	@tools/compose/test.sh

test-systemd: ## the systemd unit: systemd-analyze, system calls of the proxy, and as root a systemd that runs it (Debian: systemd)
	$(call say,systemd unit)
	@tools/systemd/test.sh

test-openapi: setup ## docs/openapi against the running demo, by schemathesis
	$(call say,OpenAPI documents)
	@cargo build --quiet --locked
	@tools/openapi/check.sh >target/openapi.log 2>&1 || { cat target/openapi.log; exit 1; }
	@grep -h '^skipped:' target/openapi.log || true

test-valkey: setup ## replicas that share a store, with Valkey; `make test` runs the same tests with Redis, too
	$(call say,tests: replicas that share a Valkey)
	@SHARED_STORE=valkey cargo $(tests) --locked --features test-clients --test shared

image: ## the container image, built without a registry, and tried (root, Debian's buildah and podman)
	@tools/image/build.sh

fuzz: ## each fuzz target for FUZZ_SECONDS (60)
	@tools/fuzz.sh

mutants: ## plants faults, one at a time, and prints those that no test notices (MUTANTS_SET=patches: the deliberate ones, under an hour; MUTANTS_ONLY)
	@tools/mutants.sh

flood: ## hits with and without a flood of forged tokens, before the release build (SECONDS, HITS, FLOOD, SOURCES)
	@cargo build --quiet --profile dist --locked
	@benches/flood
	$(call say,attacks on memory in their whole size)
	@ATTACK_SIZE=10 cargo test --quiet --release --locked --test load attacks -- --nocapture --test-threads 1

bench: ## beside bare hyper, HAProxy, nginx and Varnish, in one run (two idle cores; ROUNDS, SECS, SCENARIOS)
	@benches/compare

bench-check: setup ## instructions and allocations of a hit and of a miss against those that were recorded
	$(call say,what a hit and a miss cost (a first build takes some minutes))
	@benches/check

bench-parts: ## the time of the parts of a request, each by itself
	@cargo bench --quiet --locked -p connector-cache-benches --profile count --bench parts

bench-steps: setup ## where the instructions of a hit and of a miss go, step by step
	@benches/steps
	@benches/steps miss

profile: ## count how often the code of a request runs, for the compiler: tools/image/amd64.profdata.gz (llvm-profdata, nginx, h2load)
	@benches/profile

bench-entries: ## memory of an entry beside its body (COUNT, FLOWS of each token)
	@cargo run --quiet --locked --profile count -p connector-cache-benches --bin entries $(or $(COUNT),100000) $(or $(FLOWS),100)

bench-flame: ## flame graphs of a hit and of bare hyper's answer, in target/flame (perf; REQUESTS)
	@benches/flame

simulation: ## calls of a fleet to Graph, by replicas, tokens, flows and settings; its tests first (FULL=1: no samples)
	@cargo test --quiet --locked -p connector-cache-benches --features simulation --lib simulation
	@cargo run --quiet --release --locked -p connector-cache-benches --features simulation --bin simulation

bench-shared: setup ## times of the shared tier: purges, reads of the store, a store that fails under load, ten replicas beside one
	@SHARED_FIGURES=1 cargo test --quiet --release --locked --test shared figures -- --nocapture --test-threads 1
	@PURGE_RACES=$${PURGE_RACES:-10000} cargo test --quiet --release --locked --test shared no_replica_gives_an_old_answer_after_a_confirmed_purge -- --exact --nocapture purge::no_replica_gives_an_old_answer_after_a_confirmed_purge

test-net: ## faults of a real network, in namespaces of its own (root; iproute2, iptables)
	@tools/netns.sh

soak: ## mixed load while Graph and the network fail and heal, for SOAK_SECONDS (60), PURGE_RACES (100,000) raced purges, SHARED_PURGE_RACES (10,000) on three replicas, and FLEET_STEPS (1,000) of their model
	@SOAK_SECONDS=$${SOAK_SECONDS:-60} cargo test --release --locked --test load soak -- --nocapture
	@PURGE_RACES=$${PURGE_RACES:-100000} cargo test --release --locked --test isolation race -- --nocapture
	@PURGE_RACES=$${SHARED_PURGE_RACES:-10000} cargo test --release --locked --test shared old_answer -- --nocapture
	@FLEET_STEPS=$${FLEET_STEPS:-1000} cargo test --release --locked --test model fleet -- --nocapture

model: ## a million requests of the model, in a release build (MODEL_REQUESTS; MODEL_SEED replays a failure)
	@MODEL_REQUESTS=$${MODEL_REQUESTS:-1000000} cargo test --release --locked --test model -- --nocapture no_caller the_same_holds

sbom: ## the software bill of materials of the binary, in target/sbom (CycloneDX JSON)
	$(call say,software bill of materials (a first run installs cargo-cyclonedx))
	@tools/sbom.sh

supply: ## licences, crates and sources in the tree, by cargo-deny
	@tools/supply.sh

picture: setup clients ## docs/dashboard.png and docs/console.png, of a real Prometheus and the console under load
	@cargo build --quiet --release --locked
	@node tests/console/picture.mjs target/release/connector-cache docs/console.png
	@tools/monitoring/picture.sh

demo: ## a stand-in for Graph and the proxy before it; nothing else is needed
	@cargo run --release --locked -- demo

run: ## the proxy; CONFIG=file.toml names its configuration
	@cargo run --release --locked -- serve $(if $(CONFIG),--config '$(CONFIG)')
