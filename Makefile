# What a newcomer types. Every target needs Rust (by rustup) and a C compiler; `test` also needs
# Redis and PostgreSQL, and installs them where it may.

.PHONY: help run test test-languages lint bench bench-plugins crowd swaps target
.DEFAULT_GOAL := help

# The shipped plugins and their SDK. Built apart from the server: in one build with it, the
# union of features would have wasmtime and its friends compiled a second time.
PLUGINS := -p coffer-plugin-sdk -p coffer-otp $(patsubst %,-p coffer-plugin-%,authenticator clients github kv password totp transit)

help:
	@echo "make run    start a server to play with, on https://127.0.0.1:8200"
	@echo "make test   every test, with a Redis and a PostgreSQL that are started and cleared away"
	@echo "make test-languages   plugins and clients in other languages; needs Node.js and Python"
	@echo "make lint   formatting and clippy, warnings are errors"
	@echo "make crowd  500 clients and a one-time token at three servers, COFFER_ROUNDS rounds (1,000)"
	@echo "make swaps  a plugin upgraded and brought back 100 times under load, and what it leaves in memory"
	@echo "make bench  throughput of a release build, printed"
	@echo "make bench-plugins   what a plugin costs in Rust, C, JavaScript and Python; needs Node.js and Python"

run: target
	@bash tests/run.sh

test: target
	@bash tests/services.sh bash tests/test.sh $(PLUGINS)

test-languages: target
	@bash tests/languages.sh

lint: target
	cargo fmt --all -- --check
	cargo clippy $(PLUGINS) --all-targets -- -D warnings
	cargo clippy --all-targets -- -D warnings

bench: target
	@cargo test --release --lib runtime::tests::bench -- --ignored --nocapture
	@bash tests/services.sh cargo test --release --test stories -- --ignored --nocapture --test-threads 1 bench::

swaps: target
	@COFFER_SWAPS=100 bash tests/services.sh cargo test --test stories -- --nocapture stories::plugins_swaps::

bench-plugins: target
	@bash tests/bench-plugins.sh

crowd: target
	@bash tests/services.sh cargo test --release --test stories -- --ignored --nocapture --test-threads 1 stories::nodes_uses::

# What the shipped plugins are compiled to.
target:
	@test -d "$$(rustc --print sysroot)/lib/rustlib/wasm32-wasip2" || rustup target add wasm32-wasip2
