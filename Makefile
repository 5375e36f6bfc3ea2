# Each target is enough by itself on a fresh Debian or Ubuntu machine with Rust and a C compiler; `make` lists them.
.DEFAULT_GOAL := help
.PHONY: help demo test check check-api simulate scorecard benchmark run compiler

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: compiler ## Break a reference Charter in every way it knows and watch the loop heal it (no servers needed, under 5 minutes)
	@echo 'Building first; a few minutes the first time.'
	cargo build --locked
	cargo run --locked --quiet -- demo

test: compiler ## Run every test, end to end against real Prometheus, Alertmanager and PostgreSQL (fetched without root)
	./scripts/fetch-tools.sh
	cargo test --locked

check: compiler ## Formatting, lints and documentation, warnings as errors
	cargo fmt --all --check
	cargo clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps

check-api: compiler ## Ask a running daemon what schemathesis makes up from /api/v1/openapi.json (needs python3-venv; 3 minutes)
	./scripts/check-api.sh

SEEDS ?= 60
HOURS ?= 6

# In each short script all awaits of cycles that do something (CRASHES less a sixth), and that sixth of quiet ones.
CRASHES ?= 600

simulate: compiler ## The loop under simulated time, SEEDS (60) times HOURS (6), held to the invariants; SEED=… runs one alone
	SEEDS=$(SEEDS) HOURS=$(HOURS) $(if $(SEED),SEED=$(SEED)) \
		cargo test --locked --profile sim --test sim s11_ -- --nocapture
	$(if $(SEED),,CRASHES=$(CRASHES) \
		cargo test --locked --profile sim --test sim a_crash_at_any_await -- --nocapture)

benchmark: compiler ## Measure; docs/BENCHMARKS.md says what the numbers mean
	cargo bench --locked --bench cycle
	cargo bench --locked --bench load
	@echo "Put the numbers into docs/BENCHMARKS.md; criterion keeps its own under target/criterion."

scorecard: compiler ## Hold the loop against simpler controllers on simulated incidents; writes docs/SCORECARD.md
	cargo test --locked --profile sim --test sim -- --ignored --exact score::scorecard --nocapture

run: compiler ## Run the daemon with config/mape_k_config.yaml
	cargo run --release --quiet -- run

# Some dependencies bring C code; without a compiler cargo fails half-way with an error that names none of this.
compiler:
	@command -v cargo >/dev/null || { echo "cargo is missing: install Rust from https://rustup.rs"; exit 1; }
	@command -v cc >/dev/null || { echo "a C compiler is missing: sudo apt-get install build-essential"; exit 1; }
