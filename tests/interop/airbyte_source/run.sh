#!/usr/bin/env bash
# Airbyte's source connector for Dataverse against `d365map emulate`. The package is for Python 3.9 to 3.11, so one of these is looked for; it
# needs its module venv. The packages come by name, in the versions of requirements.txt, into target/interop. The program is built unless
# D365MAP names one.
set -euo pipefail
for python in python3 python3.11 python3.10 python3.9; do
    if "$python" -c 'import sys; sys.exit(not (3, 9) <= sys.version_info[:2] <= (3, 11))' 2>/dev/null; then break; fi
    python=
done
if [ -z "$python" ]; then
    echo "error: airbyte-source-microsoft-dataverse needs Python 3.9, 3.10 or 3.11, and none of them was found; install python3.11 with its module venv" >&2
    exit 1
fi
. "$(dirname "$0")/../python_client.sh"
