#!/usr/bin/env bash
# Installs what is needed into .venv, then fills the paper's table for several encoders, with all methods that are not trained. Arguments are passed on:
#   scripts/reproduce.sh --data_dir=/data            # /data holds mvtec_ad, mpdd and visa, or their archives
#   scripts/reproduce.sh --data_dir=/data --estimate_only
source "$(dirname "$0")/setup.sh"
install requirements.txt
# Weights of the hub need one more package; without it their runs are skipped by name.
.venv/bin/python -c 'import huggingface_hub' 2>/dev/null ||
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --constraint requirements.txt --editable '.[hub]' ||
  echo "warning: huggingface_hub cannot be installed, so weights cannot be downloaded" >&2
exec .venv/bin/python scripts/reproduce.py "$@"
