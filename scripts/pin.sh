#!/usr/bin/env bash
# Writes requirements-test.txt, what a fresh environment with the extra `test` gets today within pyproject.toml's bounds,
# and requirements.txt, those of its packages at the same versions that the program itself needs.
set -euo pipefail
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch" build fastrecon_jax.egg-info' EXIT

pin() { # FILE PIP_ARGUMENTS...
  local file=$1 name
  name=$(basename "$file" .txt)
  shift
  "${PYTHON:-python3}" -m venv "$scratch/$name"
  "$scratch/$name/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
  {
    echo "# Written by scripts/pin.sh; the bounds are in pyproject.toml."
    "$scratch/$name/bin/python" -m pip freeze --exclude fastrecon_jax
  } > "$file"
}

pin requirements-test.txt ".[test]"
pin requirements.txt . --constraint requirements-test.txt
