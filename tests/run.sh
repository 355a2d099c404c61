#!/usr/bin/env bash
# All tests. Those of Campaign's SFTP exports run OpenSSH's own server, and mandoc checks the manual pages; both are installed first where
# they are missing.
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/need.sh

need openssh-server test -x /usr/sbin/sshd
need openssh-client command -v ssh-keygen
need mandoc command -v mandoc
exec cargo test "$@"
