#!/usr/bin/env bash
# Installs what the tests need into .venv, checks the style and runs the tests. Arguments are passed on to pytest.
source "$(dirname "$0")/setup.sh"
install requirements-test.txt
scripts/chromium.sh
.venv/bin/ruff check .
.venv/bin/ruff format --check .
exec .venv/bin/python -m pytest "$@"
