#!/usr/bin/env bash
# The browser test: the pages of `d365map serve` in Chromium. Nothing is skipped: what is missing is installed, or fails the run.
#   --install       only installs what it needs, which may be done beside other work
#   --screenshots   writes a picture of each page to docs/serve, in place of the tests
set -euo pipefail
cd "$(dirname "$0")"
. ../need.sh
need chromium chromium --version
need chromium-driver chromedriver --version

if ! cmp -s package-lock.json node_modules/installed.json; then
  npm ci --silent
  cp package-lock.json node_modules/installed.json
fi
if [ "${1:-}" = --install ]; then exit; fi

D365MAP_BROWSER=$(command -v chromium)
D365MAP_BROWSER_AXE=$PWD/node_modules/axe-core/axe.min.js
export D365MAP_BROWSER D365MAP_BROWSER_AXE
cd ../..
if [ "${1:-}" = --screenshots ]; then
  cargo test --quiet --test browser -- --ignored
else
  cargo test --quiet --test browser
fi
