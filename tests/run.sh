#!/usr/bin/env bash
# All tests. Those of Campaign's SFTP exports run OpenSSH's own server, which is installed first where it is missing.
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/need.sh

need openssh-server test -x /usr/sbin/sshd
need openssh-client command -v ssh-keygen
exec cargo test "$@"
