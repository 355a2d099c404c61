# For the run.sh of a client from PyPI to source: installs its packages into target/interop and runs its check.py against the program, which is
# built unless D365MAP names one. With --install it only installs. `python` names the interpreter; python3 unless it is set before.
here="$(cd "$(dirname "$0")" && pwd)"
root="$(cd "$here/../../.." && pwd)"
venv="$root/target/interop/$(basename "$here")"
python=${python:-python3}

command -v "$python" >/dev/null || { echo "error: $python is missing; install it with its module venv" >&2; exit 1; }
"$python" -c 'import venv, ensurepip' 2>/dev/null || { echo "error: $python cannot make virtual environments; install python3-venv" >&2; exit 1; }

if ! cmp -s "$here/requirements.txt" "$venv/installed.txt"; then
    rm -rf "$venv"
    "$python" -m venv "$venv"
    # All packages are pinned, so nothing is left to resolve.
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --requirement "$here/requirements.txt"
    cp "$here/requirements.txt" "$venv/installed.txt"
fi

if [ "${1:-}" = --install ]; then exit; fi

if [ -z "${D365MAP:-}" ]; then
    (cd "$root" && cargo build --quiet --bin d365map)
    D365MAP="${CARGO_TARGET_DIR:-$root/target}/debug/d365map"
fi
cd "$here"
PYTHONPATH="$here/.." exec "$venv/bin/python" -B check.py "$D365MAP" "$@"
