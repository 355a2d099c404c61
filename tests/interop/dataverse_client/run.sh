#!/usr/bin/env bash
# Microsoft's own Python client for Dataverse against `d365map emulate`. Needs python3 with venv; the packages come by name, in the
# versions of requirements.txt, into target/interop. The program is built unless D365MAP names one.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
root="$(cd "$here/../../.." && pwd)"
venv="$root/target/interop/dataverse_client"

command -v python3 >/dev/null || { echo "error: python3 is missing; install it (python3, python3-venv)" >&2; exit 1; }
python3 -c 'import venv, ensurepip' 2>/dev/null || { echo "error: python3 cannot make virtual environments; install python3-venv" >&2; exit 1; }

if ! cmp -s "$here/requirements.txt" "$venv/installed.txt"; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --requirement "$here/requirements.txt"
    cp "$here/requirements.txt" "$venv/installed.txt"
fi

if [ "${1:-}" = --install ]; then exit; fi

if [ -z "${D365MAP:-}" ]; then
    (cd "$root" && cargo build --quiet --bin d365map)
    D365MAP="${CARGO_TARGET_DIR:-$root/target}/debug/d365map"
fi
cd "$here"
exec "$venv/bin/python" check.py "$D365MAP" "$@"
