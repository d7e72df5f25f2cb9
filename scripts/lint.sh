#!/bin/sh
# Formatting, types, import contracts, migrations and the API schema; the first that fails stops.
set -eu
BIN=${BIN:-.venv/bin}
VAR_DIR=$(mktemp -d)
trap 'rm -rf "$VAR_DIR"' EXIT
export EMBEDDED=1 DEBUG=0 VAR_DIR
echo "ruff";          "$BIN/ruff" check . && "$BIN/ruff" format --check .
echo "mypy";          "$BIN/mypy"
echo "mypy, client"; "$BIN/mypy" --config-file clients/python/pyproject.toml --cache-dir .mypy_cache/client
echo "imports";       "$BIN/lint-imports" --no-cache
echo "migrations";    "$BIN/python" manage.py makemigrations --check --dry-run
echo "checks";        "$BIN/python" manage.py check
echo "API schema";    "$BIN/python" manage.py spectacular --validate --fail-on-warn --file /dev/null
echo "API contract";  "$BIN/python" manage.py api_contract
