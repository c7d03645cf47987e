# Everything needs a Rust toolchain. Servers are installed where apt is, or DATABASE_URL, AMQP_URL and REDIS_URL point to
# running ones.
.DEFAULT_GOAL := help
.PHONY: help demo check it test test-label-studio bench bench-label-studio failover soak up down dist fmt lint unit doc deny install install-tests

LOCAL = target/demo/longshore-local
PROGRAMS = -p longshore-scheduler -p longshore-cli -p longshore-worker
# cargo-nextest runs each test in its own process, and says more about those that fail or hang. Where it is missing, cargo
# runs the same tests.
NEXTEST := $(shell cargo nextest --version >/dev/null 2>&1 && echo yes)
SYSTEM = cargo test --locked -p longshore-it --test system

help: ## what there is to make
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

demo: install ## the whole job on real servers; WITH=label-studio: beside one, which is installed; STAY=1: until Ctrl-C
	cargo build --locked --profile demo --no-default-features $(PROGRAMS) -p longshore-local --bins
	$(LOCAL) demo $(if $(WITH),--with $(WITH)) $(if $(STAY),--stay)

check: ## format, clippy and unit tests: no servers, under a minute when warm
	@$(MAKE) --no-print-directory lint unit

it: install-tests ## one system test, or all whose names contain T: make it T=a_name
	cargo build --locked --workspace --bins
	@$(SYSTEM) --quiet -- --list $(T) | grep -q ': test$$' || { echo 'No system test has "$(T)" in its name.' >&2; exit 1; }
	$(SYSTEM) -- $(T)

test: install-tests lint doc ## everything that must pass, as in CI
	cargo build --locked --workspace --bins
ifeq ($(NEXTEST),yes)
	target/debug/longshore-local --dir target/local/test-run beside -- cargo nextest run --locked --workspace --no-fail-fast
	cargo test --locked --workspace --doc
else
	cargo test --locked --workspace --no-fail-fast
endif

bench: install ## how fast it is beside the parts below it; BENCH='--rows 1,2 --scale 0.1' for a quick look
	cargo build --locked --release $(PROGRAMS) -p longshore-bench --bins
	@tests/bench/rivals/install.sh target/local/bench-rivals
	target/release/longshore-bench $(BENCH)

bench-label-studio: install-tests ## beside a Label Studio and its own syncs; BENCH='--large 1000000' for a large project, too
	cargo build --locked --release $(PROGRAMS) -p longshore-bench --bins
	target/release/longshore-bench label-studio $(BENCH)

test-label-studio: install-tests ## beside a real Label Studio, which is installed below target/local; T=differential for some of them
	cargo build --locked --workspace --bins
	$(SYSTEM) label_studio::$(T) -- --include-ignored --test-threads 4

failover: install-tests ## failovers at many points; LONGSHORE_FAILOVER_SEEDS=20 for more of them
	cargo build --locked --workspace --bins
	$(SYSTEM) failover -- --include-ignored --nocapture

soak: install-tests ## one tenant does what costs most while another syncs; some ten minutes
	cargo build --locked --release $(PROGRAMS) --bins
	cargo test --locked --release -p longshore-it --test system soak -- --include-ignored --nocapture

up: install ## starts Longshore on private servers and leaves it running; UP='--port 8080' for chosen ports
	cargo build --locked --profile demo --no-default-features $(PROGRAMS) -p longshore-local --bins
	$(LOCAL) up $(UP)

down: ## stops what `make up` started and removes its data
	$(LOCAL) down

dist: ## the programs to ship, stripped: target/dist
	cargo build --locked --profile dist $(PROGRAMS) --bins

fmt: ## formats the code
	cargo fmt --all

lint: ## format and clippy, warnings denied
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings

unit: ## unit tests of all crates
ifeq ($(NEXTEST),yes)
	cargo nextest run --locked --workspace --lib --bins
else
	cargo test --locked --workspace --lib --bins
endif

doc: ## the code's documentation, warnings denied
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --workspace --no-deps --document-private-items

deny: ## licenses, bans and sources of dependencies, and advisories where LONGSHORE_ADVISORIES names a database
	@tests/deny/check.sh

install:
	@deploy/local/install.sh $(WITH)

install-tests:
	@deploy/local/install.sh tests
