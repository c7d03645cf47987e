# Everything needs a Rust toolchain; the servers are installed where apt is, or pointed at by
# DATABASE_URL, AMQP_URL and REDIS_URL.
.DEFAULT_GOAL := help
.PHONY: help demo bench failover soak test up down install install-tests fmt lint doc deny bins

LOCAL = target/release/longshore-local

help: ## what there is to make
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 8

demo: install bins ## the whole thing, on real servers, in a minute
	$(LOCAL) demo

bench: install ## how fast it is beside the parts below it; BENCH='--rows 1,2 --scale 0.1' for a quick look
	cargo build --locked --release -p longshore-scheduler -p longshore-cli -p longshore-worker -p longshore-bench --bins
	@tests/bench/rivals/install.sh target/local/bench-rivals
	target/release/longshore-bench $(BENCH)

failover: install-tests ## failovers at many points; LONGSHORE_FAILOVER_SEEDS=20 for more of them
	cargo build --locked --workspace --bins
	cargo test --locked -p longshore-it --test system failover -- --include-ignored --nocapture

soak: install-tests ## one tenant does what costs most while another syncs; some ten minutes
	cargo build --locked --release -p longshore-scheduler -p longshore-cli -p longshore-worker --bins
	cargo test --locked --release -p longshore-it --test system soak -- --include-ignored --nocapture

up: install bins ## starts Longshore on private servers and leaves it running
	$(LOCAL) up

down: ## stops what `make up` started and removes its data
	$(LOCAL) down

test: install-tests lint doc ## everything that must pass
	cargo build --locked --workspace --bins
	cargo test --locked --workspace --no-fail-fast
	@$(MAKE) --no-print-directory deny

fmt: ## formats the code
	cargo fmt --all

lint: ## format and clippy, warnings denied
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings

doc: ## the code's documentation, warnings denied
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --workspace --no-deps --document-private-items

deny: ## licences, bans and sources of dependencies
	@if cargo deny --version >/dev/null 2>&1; then cargo deny --locked --config .deny.toml check licenses bans sources; \
	else echo 'cargo-deny is not here: licences, bans and sources of dependencies were not checked.'; fi

install:
	@deploy/local/install.sh

install-tests:
	@deploy/local/install.sh tests

bins:
	cargo build --locked --release -p longshore-scheduler -p longshore-cli -p longshore-worker -p longshore-local --bins
