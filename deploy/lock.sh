#!/usr/bin/env bash
# Renews deploy/requirements.lock: every package by version and digest, for every platform, without naming any registry.
set -euo pipefail
cd "$(dirname "$0")/.."
exec uv pip compile pyproject.toml --extra embedded --extra test --universal --python-version 3.11 --generate-hashes \
    --no-emit-index-url --no-emit-find-links --no-annotate --no-header --output-file deploy/requirements.lock "$@"
