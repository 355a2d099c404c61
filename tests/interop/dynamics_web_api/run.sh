#!/usr/bin/env bash
# DynamicsWebApi, a JavaScript client of Dataverse, against `d365map emulate`. Needs node (18 or newer) and npm; the package comes by
# name, in the versions of package-lock.json, into target/interop. The program is built unless D365MAP names one.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
root="$(cd "$here/../../.." && pwd)"
work="$root/target/interop/dynamics_web_api"

for tool in node npm; do
    command -v "$tool" >/dev/null || { echo "error: $tool is missing; install Node.js 18 or newer with npm" >&2; exit 1; }
done

if ! cmp -s "$here/package-lock.json" "$work/installed.json"; then
    rm -rf "$work"
    mkdir -p "$work"
    cp "$here/package.json" "$here/package-lock.json" "$here/.npmrc" "$work"
    (cd "$work" && npm ci --silent)
    cp "$here/package-lock.json" "$work/installed.json"
fi

if [ "${1:-}" = --install ]; then exit; fi

if [ -z "${D365MAP:-}" ]; then
    (cd "$root" && cargo build --quiet --bin d365map)
    D365MAP="${CARGO_TARGET_DIR:-$root/target}/debug/d365map"
fi
exec node "$here/check.mjs" "$D365MAP" "$work"
