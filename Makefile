# What people do with this project. `cargo run --release -- serve` needs no target of its own.

.PHONY: test check bench openapi

## Every test, on SQLite and on PostgreSQL, and the page in Chromium. Installs what is missing where it may.
test:
	@.ci/postgres
	@.ci/browser
	cargo test --workspace --locked --features switchover-server/test-clock
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
