#!/usr/bin/env bash
# Installs what is needed into .venv, then evaluates FastRecon on the built-in data. Arguments are passed on:
#   scripts/quickstart.sh --data_dir=/data/mvtec_ad --shots=2,4,8
source "$(dirname "$0")/setup.sh"
install requirements.txt
exec .venv/bin/python -m fastrecon_jax.eval --shots=8 "$@"
