#!/usr/bin/env bash
# The chaos run. `tests/chaos/run.sh --seconds 60`, by hand `tests/chaos/run.sh --minutes 30 --seed N`; README.md tells the rest.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/need.sh

clock_library() { compgen -G '/usr/lib/*/faketime/libfaketimeMT.so.1'; }
need libfaketime clock_library
exec cargo test --quiet --test chaos -- "$@"
