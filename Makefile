# What people do with this project. `cargo run --release -- serve` needs no target of its own.

# Most tests wait for clocks, servers and browsers: twice as many run at once as there are cores.
export RUST_TEST_THREADS ?= $(shell echo $$((2 * $$(getconf _NPROCESSORS_ONLN))))

.PHONY: test check bench openapi screenshots

## Every test, on SQLite and on PostgreSQL, the page in Chromium, OpenFeature's own clients, the OpenAPI document
## against a server. Installs what is missing where it may.
test:
	@.ci/postgres
	@.ci/browser
	@.ci/clients
	@.ci/prometheus
	cargo test --workspace --locked --features switchover-server/test-clock
	@.ci/contract
	cargo test -p switchover --no-default-features --locked

## All that has to hold before a change lands.
check:
	@.ci/run

## The figures of docs/performance.md, each beside its budget.
bench:
	cargo bench --workspace --locked

## Writes openapi/openapi.json from the code.
openapi:
	UPDATE_OPENAPI=1 cargo test -p switchover-server --locked openapi

## Pictures of every page, at three widths, light and dark, in target/screenshots.
screenshots:
	@.ci/browser
	cargo build -p switchover-server --locked --features test-clock
	node server/tests/browser/screenshots.mjs target/debug/switchover
