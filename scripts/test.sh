#!/usr/bin/env bash
# Installs what the tests need into .venv, checks the style and runs the tests, two files at a time.
# Arguments are passed on to pytest (`-n 0` for one process).
source "$(dirname "$0")/setup.sh"
install requirements-test.txt
scripts/chromium.sh
.venv/bin/ruff check .
.venv/bin/ruff format --check .
exec .venv/bin/python -m pytest -n 2 --dist loadfile "$@"
