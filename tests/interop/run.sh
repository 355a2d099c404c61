#!/usr/bin/env bash
# The interoperability run: our connectors and emulators against software that we did not write. Nothing is skipped: what is missing fails the run.
# With --install only what it needs is installed, which may be done beside other work.
set -euo pipefail
cd "$(dirname "$0")"
root=$(cd ../.. && pwd)

missing=()
for tool in cargo node npm python3; do
  command -v "$tool" > /dev/null || missing+=("$tool")
done
if [ ${#missing[@]} -gt 0 ]; then
  echo "interop: missing: ${missing[*]}" >&2
  exit 1
fi
if ! node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)'; then
  echo "interop: Node.js $(node --version) is too old: 20.19 or newer is needed" >&2
  exit 1
fi

# packages FOLDER : what its lock file names, unless it is there.
packages() {
  if cmp -s "$1/package-lock.json" "$1/node_modules/installed.json"; then return; fi
  (cd "$1" && npm ci --silent && cp package-lock.json node_modules/installed.json)
}

packages odata
packages oauth
if [ "${1:-}" = --install ]; then
  for part in */run.sh; do bash "$part" --install; done
  exit
fi

work=$(mktemp -d)
started=()
finish() {
  local status=$?
  for process in "${started[@]}"; do
    kill "$process" 2> /dev/null || true
  done
  if [ "$status" -ne 0 ]; then
    for log in "$work"/*.log; do
      if [ -s "$log" ]; then
        echo "--- $(basename "$log"), the last lines" >&2
        tail -n 40 "$log" >&2
      fi
    done
  fi
  rm -rf "$work"
}
trap finish EXIT

# start NAME COMMAND... : runs a server in the background.
start() {
  local name=$1
  shift
  "$@" > "$work/$name.log" 2>&1 &
  started+=($!)
}

# address FILE : waits until a server has said where it is.
address() {
  for _ in $(seq 300); do
    if [ -s "$1" ]; then
      cat "$1"
      return
    fi
    sleep 0.2
  done
  echo "interop: a server did not start within a minute" >&2
  return 1
}

start odata node odata/server.js "$work/odata"
start oauth node oauth/server.mjs "$work/mock" "$work/oidc" "$work/people"
D365MAP_INTEROP_ODATA=$(address "$work/odata")
D365MAP_INTEROP_OAUTH=$(address "$work/mock")
D365MAP_INTEROP_OIDC=$(address "$work/oidc")
D365MAP_INTEROP_PEOPLE=$(address "$work/people")
export D365MAP_INTEROP_ODATA D365MAP_INTEROP_OAUTH D365MAP_INTEROP_OIDC D365MAP_INTEROP_PEOPLE
(cd "$root" && cargo test --quiet --test interop)
# What that has built; `cargo build` would build it once more, without the features that only tests use.
export D365MAP="${CARGO_TARGET_DIR:-$root/target}/debug/d365map"

# What brings a script of its own.
for part in */run.sh; do
  [ -e "$part" ] || continue
  echo "interop: $part"
  bash "$part"
done
