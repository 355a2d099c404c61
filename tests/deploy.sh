#!/usr/bin/env bash
# Checks what is under deploy/ with the programs that read it. Needs Debian's packages prometheus (promtool) and systemd (systemd-analyze),
# which are installed where they are missing.
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/need.sh
need prometheus promtool --version
need systemd systemd-analyze --version

promtool check rules deploy/prometheus/alerts.yml
promtool test rules deploy/prometheus/alerts.test.yml

# systemd-analyze wants the program to exist.
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
sed 's|/usr/bin/d365map|/bin/true|' deploy/systemd/d365map.service > "$folder/d365map.service"
found=$(systemd-analyze verify --man=no "$folder/d365map.service" 2>&1)
if [ -n "$found" ]; then
  echo "$found" >&2
  exit 1
fi
# The exposure as systemd rates it, in tenths of 0 to 10.
systemd-analyze security --offline=true --no-pager --threshold=15 "$folder/d365map.service" | tail -n 1
