#!/usr/bin/env bash
# Renews the lock files: every package by version and digest, for every platform, without naming any registry.
# requirements.lock is what `make install` installs; bench.lock adds what only `make rivals` needs, at versions that leave
# the others as they are.
set -euo pipefail
cd "$(dirname "$0")/.."
lock() {
    uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-emit-find-links --no-annotate --no-header "$@"
}
lock --extra embedded --extra test --output-file deploy/requirements.lock "$@"
lock --extra embedded --extra test --extra bench --constraint deploy/requirements.lock --output-file deploy/bench.lock "$@"
