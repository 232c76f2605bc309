#!/usr/bin/env bash
# Installs what the tests need into .venv, then checks style, types, tables and the site, and runs the tests in two
# processes, the quick ones first. Arguments are passed on to pytest, for one run of what they name
# (`tests/core -n 0`: one folder, in one process).
source "$(dirname "$0")/setup.sh"
install requirements-test.txt
scripts/chromium.sh
python=.venv/bin/python
$python -m ruff check .
$python -m ruff format --check .
$python -m mypy
[ ! -e scripts/write_tables.py ] || $python scripts/write_tables.py --check
[ ! -e mkdocs.yml ] || $python -m mkdocs build --quiet --strict --site-dir "$(mktemp -d)"

processes=(-n 2 --dist worksteal)
if [ $# -gt 0 ]; then
  exec $python -m pytest "${processes[@]}" "$@"
fi
# These start commands or compile whole programs.
slow=(tests/{docs,encoders,evaluation,examples,exporting,inspection,parts,scripts,serving} tests/test_{doctor,reference}.py)
$python -m pytest "${processes[@]}" "${slow[@]/#/--ignore=}"
exec $python -m pytest "${processes[@]}" "${slow[@]}"
