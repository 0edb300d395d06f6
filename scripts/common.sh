# What the other scripts share. Sourced, never run.
#
# Afterwards the working directory is the top of the tree, and the functions below exist.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

# What Debian 12 needs to build and test Kahuna.
packages=(
  g++ cmake ninja-build ccache iproute2
  libcaf-dev librocksdb-dev libisal-dev libboost-serialization-dev libboost-program-options-dev libxxhash-dev
  libcpp-httplib-dev nlohmann-json3-dev libspdlog-dev libreadline-dev prometheus-cpp-dev libjemalloc-dev
)

say() { printf '== %s\n' "$*" >&2; }

# die STATUS MESSAGE…
die() {
  local status=$1
  shift
  printf '%s: %s\n' "$(basename "$0")" "$*" >&2
  exit "$status"
}

# Installs those of the named packages that are missing. Where none is, needs neither root nor network.
install_packages() {
  command -v dpkg-query >/dev/null || die 2 "this is no Debian system: install by hand what stands for: $*"
  local missing=() package
  for package in "$@"; do
    [[ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" == installed ]] || missing+=("$package")
  done
  ((${#missing[@]})) || return 0
  local as_root=()
  if ((EUID != 0)); then
    command -v sudo >/dev/null ||
      die 2 "packages are missing and neither root nor sudo is at hand; as root: apt-get install ${missing[*]}"
    as_root=(sudo)
  fi
  say "installing ${missing[*]}"
  "${as_root[@]}" apt-get update -q >&2
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}" >&2
}

# configure PRESET [CMAKE ARGUMENT…]: into build/PRESET, quietly unless it fails.
configure() {
  local preset=$1 output
  shift
  output=$(cmake --preset "$preset" "$@" 2>&1) || { printf '%s\n' "$output" >&2; die 1 "configuring failed"; }
}

# build DIRECTORY [TARGET…]: compiler's words go to standard error.
build() {
  local directory=$1
  shift
  say "building ${*:-everything} in $directory"
  cmake --build "$directory" -j "$(nproc)" ${1:+--target "$@"} >&2 || die 1 "the build failed"
}
