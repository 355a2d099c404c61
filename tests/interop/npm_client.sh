# For the run.sh of a client from npm to source: installs its packages into target/interop and runs its check.mjs against the program, which is
# built unless D365MAP names one. With --install it only installs.
here="$(cd "$(dirname "$0")" && pwd)"
root="$(cd "$here/../../.." && pwd)"
work="$root/target/interop/$(basename "$here")"

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
