# Sourced by the other scripts: makes .venv and installs the pinned requirements of the file named, once.
# PYTHON names another interpreter than python3; it must be 3.11 or newer.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

install() {
  local requirements=$1 python=${PYTHON:-python3} stamp
  stamp=.venv/.installed-$(cat "$requirements" pyproject.toml | cksum | tr -d ' ')
  if [ ! -e "$stamp" ]; then
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
      echo "error: $python is older than Python 3.11; name another as PYTHON=/path/to/python3.11 $0" >&2
      exit 2
    }
    echo "installing $requirements into .venv (1 to 2 GB, once)" >&2
    [ -x .venv/bin/python ] || "$python" -m venv .venv
    .venv/bin/python -m pip install --quiet --disable-pip-version-check -r "$requirements"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
    touch "$stamp"
  fi
}
