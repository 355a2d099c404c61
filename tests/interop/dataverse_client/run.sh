#!/usr/bin/env bash
# Microsoft's own Python client for Dataverse against `d365map emulate`. Needs python3 with venv; the packages come by name, in the
# versions of requirements.txt, into target/interop. The program is built unless D365MAP names one.
set -euo pipefail
. "$(dirname "$0")/../python_client.sh"
