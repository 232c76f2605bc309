#!/usr/bin/env bash
# Writes requirements.txt and requirements-test.txt: what a fresh environment gets today within pyproject.toml's bounds.
set -euo pipefail
cd "$(dirname "$0")/.."
for extra in "" test; do
  scratch=$(mktemp -d)
  "${PYTHON:-python3}" -m venv "$scratch"
  "$scratch/bin/python" -m pip install --quiet --disable-pip-version-check ".${extra:+[$extra]}"
  {
    echo "# Written by scripts/pin.sh; the bounds are in pyproject.toml."
    "$scratch/bin/python" -m pip freeze --exclude fastrecon_jax
  } > "requirements${extra:+-$extra}.txt"
  rm -rf "$scratch" build fastrecon_jax.egg-info
done
