# For scripts to source: Debian packages by name, where they are missing.

# need PACKAGE COMMAND... : installs a Debian package unless the command succeeds, and fails by its name where that is not possible.
need() {
  local package=$1
  shift
  if "$@" > /dev/null 2>&1; then return; fi
  local root=()
  if [ "$(id -u)" -ne 0 ]; then root=(sudo); fi
  echo "installing $package"
  if ! { "${root[@]}" apt-get -o DPkg::Lock::Timeout=300 update -qq && "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends "$package"; } > /dev/null; then
    echo "$package is missing and cannot be installed here: install it and try again" >&2
    exit 1
  fi
  if ! "$@" > /dev/null 2>&1; then
    echo "$package is installed, but this fails still: $*" >&2
    exit 1
  fi
}
