#!/usr/bin/env bash
# Adobe's own JavaScript client for Campaign Standard against `d365map emulate`. Needs node (18 or newer) and npm; the package comes by
# name, in the versions of package-lock.json, into target/interop. The program is built unless D365MAP names one.
set -euo pipefail
. "$(dirname "$0")/../npm_client.sh"
