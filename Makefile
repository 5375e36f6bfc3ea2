# Each target is enough by itself on a fresh Debian or Ubuntu machine with Rust, a C compiler and Python; `make` lists them.
.DEFAULT_GOAL := help
.PHONY: help demo test test-unit test-integration check check-api manifests simulate nightly scorecard benchmark load \
	soak run staging staging-down e2e compiler python

# Most tests wait for servers and clocks, so that more of them than there are cores run side by side.
export RUST_TEST_THREADS ?= 8

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: compiler ## Break a reference Charter in every way it knows and watch the loop heal it (no servers needed, under 5 minutes)
	@echo 'Building first; a few minutes the first time.'
	cargo build --locked
	cargo run --locked --quiet -- demo

test: compiler python ## Run every test, end to end against real Prometheus, Alertmanager and PostgreSQL (fetched without root)
	./scripts/fetch-tools.sh
	cargo test --locked

# The modules of tests/it that start servers or processes of their own. Every test is in exactly one of the two targets.
WITH_SERVERS := access:: alertmanager_integration:: charter_integration:: end_to_end:: postgres_bad_days:: \
	real_servers:: server:: shipped_config:: store_contract:: store_lease:: stores_agree:: the_loop::

test-unit: compiler ## The quick tests: no Prometheus, Alertmanager, PostgreSQL or daemon is started for them
	cargo test --locked --lib --bins --test architecture
	cargo test --locked --test it -- $(addprefix --skip ,$(WITH_SERVERS))

test-integration: compiler python ## All the others: real Prometheus, Alertmanager, PostgreSQL and daemons, and simulated days
	./scripts/fetch-tools.sh
	cargo test --locked --test it -- $(WITH_SERVERS)
	cargo test --locked --test escalation --test deployment --test sim
	cargo test --locked --doc

check: compiler ## Formatting, lints and documentation, warnings as errors
	cargo fmt --all --check
	cargo clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps

manifests: python ## Hold the Kubernetes manifests against the schemas of three Kubernetes versions
	./scripts/check-manifests.sh

check-api: compiler python ## Ask a running daemon what schemathesis makes up from its own description
	./scripts/check-api.sh

SEEDS ?= 60
HOURS ?= 6

# Crash points tried in each of three short scripts. 600 are all awaits of cycles that do something, and a sixth more.
CRASHES ?= 200

# Which build: `dev` shares its dependencies with the tests; `sim` is three times as fast and takes 10 minutes to build.
SIM_PROFILE ?= dev

simulate: compiler ## The loop under simulated time, SEEDS (60) times HOURS (6), held to the invariants; SEED=… runs one alone
	SEEDS=$(SEEDS) HOURS=$(HOURS) $(if $(SEED),SEED=$(SEED)) \
		cargo test --locked --profile $(SIM_PROFILE) --test sim s11_ -- --nocapture
	$(if $(SEED),,CRASHES=$(CRASHES) \
		cargo test --locked --profile $(SIM_PROFILE) --test sim a_crash_at_any_await -- --nocapture)

nightly: compiler python ## The long forms of tests, simulation and API check, one after the other; takes hours
	./scripts/fetch-tools.sh
	MAPE_K_LONG=1 cargo test --locked --test it -- end_to_end::
	$(MAKE) simulate SEEDS=300 HOURS=24 CRASHES=600 SIM_PROFILE=sim
	$(MAKE) check-api
	$(MAKE) soak

benchmark: compiler ## Measure; docs/BENCHMARKS.md says what the numbers mean
	cargo bench --locked --bench cycle
	cargo bench --locked --bench load
	@echo "Put the numbers into docs/BENCHMARKS.md; criterion keeps its own under target/criterion."

SECONDS ?= 60
USERS ?= 60

load: compiler python ## Dashboards and Alertmanager by locust against the release daemon: SECONDS (60), USERS (60)
	cargo build --locked --release
	@test -x target/load/bin/locust || { python3 -m venv target/load && \
		target/load/bin/pip install --quiet locust==2.47.0; }
	target/load/bin/python tests/load/load.py --seconds $(SECONDS) --users $(USERS)

MINUTES ?= 30

soak: compiler python ## MINUTES (30) of 1 s cycles and faults, after 5 of warm-up: fails if memory grows by over 5 %
	cargo build --locked --release
	python3 -u tests/load/soak.py --minutes $(MINUTES)

scorecard: compiler ## Hold the loop against simpler controllers on simulated incidents; writes docs/SCORECARD.md
	cargo test --locked --profile sim --test sim -- --ignored --exact score::scorecard --nocapture

run: compiler ## Run the daemon with config/mape_k_config.yaml
	cargo build --locked --release
	target/release/mape-k run

# These need Docker with compose, and no Rust.
staging: ## The whole stack in Docker: start it, break Charter, watch it healed (docker-compose.staging.yml)
	./scripts/staging.sh

staging-down: ## End the staging stack; its volumes stay
	./scripts/staging.sh down

e2e: compiler ## The staging stack held to what it promises; as root it brings its own engine and images
	./scripts/e2e.sh

# Some dependencies bring C code; without a compiler cargo fails half-way with an error that names none of this.
compiler:
	@command -v cargo >/dev/null || { echo "cargo is missing: install Rust from https://rustup.rs"; exit 1; }
	@command -v cc >/dev/null || { echo "a C compiler is missing: sudo apt-get install build-essential"; exit 1; }

python:
	@python3 -c 'import ensurepip, sqlite3' 2>/dev/null || { \
		echo "Python 3 with venv is missing: sudo apt-get install python3 python3-venv"; exit 1; }
