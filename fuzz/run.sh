#!/usr/bin/env bash
# Fuzzes every target for so many seconds each (600 by default); needs a nightly toolchain and cargo-fuzz. The corpora are
# kept in fuzz/corpus; what falls lies in fuzz/artifacts.
set -euo pipefail
cd "$(dirname "$0")/.."
for target in ${TARGETS:-parser checker formatter plan_reader}; do
  options=(-max_total_time="${1:-600}" -max_len=4096 -timeout=10)
  [ "$target" = plan_reader ] || options+=(-dict=fuzz/d365map.dict)
  # Without a sanitizer: the code has no `unsafe`, and panics are what is looked for.
  # What falls is kept; the other targets are run all the same.
  cargo +nightly fuzz run -s none "$target" -- "${options[@]}" || failed="${failed:-} $target"
done
[ -z "${failed:-}" ] || { echo "fell:$failed"; exit 1; }
