#!/usr/bin/env bash
# dynamics-client, a Python client of Dataverse, against `d365map emulate`. Needs Python 3.9 or newer with venv; the packages come by name, in
# the versions of requirements.txt, into target/interop. The program is built unless D365MAP names one.
set -euo pipefail
. "$(dirname "$0")/../python_client.sh"
