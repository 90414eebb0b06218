# Sourced by ./run and ./test: installs what is missing, and runs long steps quietly. Debian and its children only; elsewhere it
# names what to install.

HOLT_PACKAGES="g++ cmake ninja-build libdnnl-dev libcli11-dev libfmt-dev nlohmann-json3-dev libboost-context-dev zlib1g-dev libpng-dev libjpeg-dev libzip-dev dataset-fashion-mnist"
HOLT_TEST_PACKAGES="libgtest-dev libbenchmark-dev util-linux chromium"

# Prints to the terminal or to a log alike: one line a step.
say() { printf '%s\n' "$*"; }

# step LABEL LOG COMMAND…: runs the command into LOG; shows ninja's or ctest's progress on a terminal; on failure shows the log's end.
step() {
  label=$1 log=$2
  shift 2
  mkdir -p "$(dirname "$log")"
  began=$(date +%s)
  if [ -t 1 ]; then
    "$@" > "$log" 2>&1 < /dev/null &
    pid=$!
    while kill -0 $pid 2> /dev/null; do
      position=$(tail -c 4000 "$log" | grep -oE '^\[[0-9]+/[0-9]+\]|^ *[0-9]+/[0-9]+ Test' | tail -n 1)
      printf '\r\033[K%s … %s %ss' "$label" "$position" "$(($(date +%s) - began))"
      sleep 1
    done
    wait $pid
    status=$?
    printf '\r\033[K'
  else
    say "$label …"
    "$@" > "$log" 2>&1 < /dev/null
    status=$?
  fi
  took=$(($(date +%s) - began))
  if [ $status -eq 0 ]; then
    say "$label: done in ${took} s"
  else
    grep -nE 'error:|FAILED|\*\*\*|Error' "$log" | head -n 20
    tail -n 40 "$log"
    say "$label: FAILED after ${took} s (exit $status); the whole log is $log"
  fi
  return $status
}

install_packages() {
  if ! command -v dpkg-query > /dev/null; then
    say "This is not Debian: install these yourself if the build misses them: $*"
    return 0
  fi
  missing=
  for package in "$@"; do
    dpkg-query -W -f '${db:Status-Status}\n' "$package" 2> /dev/null | grep -qx installed || missing="$missing $package"
  done
  [ -z "$missing" ] && return 0
  as_root=
  if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo > /dev/null; then
      say "Missing packages, and no right to install them. As root: apt-get install$missing"
      return 1
    fi
    as_root=sudo
  fi
  step "Installing$missing" build/logs/apt.log sh -c "
    $as_root apt-get update -qq && DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends $missing"
}

# Where CUDA's compiler and cuDNN's headers are: fetches the header-only cudnn-frontend into build/cudnn_frontend. Without it the build
# goes on, with holt's own convolution kernels.
HOLT_CUDNN_FRONTEND_VERSION=1.32.0
fetch_cudnn_frontend() {
  nvcc=$(command -v nvcc || echo "${CUDA_HOME:-/usr/local/cuda}/bin/nvcc")
  [ -x "$nvcc" ] || return 0
  ls "$(dirname "$nvcc")/../include/cudnn_graph.h" /usr/include/cudnn_graph.h /usr/include/*/cudnn_graph.h 2> /dev/null | grep -q . || return 0
  folder=build/cudnn_frontend
  [ "$(cat $folder/version 2> /dev/null)" = $HOLT_CUDNN_FRONTEND_VERSION ] && return 0
  rm -rf $folder
  step "Fetching cudnn-frontend $HOLT_CUDNN_FRONTEND_VERSION" build/logs/cudnn_frontend.log sh -ec "
    mkdir -p $folder
    python3 -m venv $folder/venv
    $folder/venv/bin/python -m pip download -q --disable-pip-version-check --no-deps --only-binary=:all: -d $folder \
      nvidia-cudnn-frontend==$HOLT_CUDNN_FRONTEND_VERSION
    python3 -m zipfile -e $folder/*.whl $folder/wheel
    mv $folder/wheel/include $folder/include
    rm -rf $folder/venv $folder/wheel $folder/*.whl
    echo $HOLT_CUDNN_FRONTEND_VERSION > $folder/version" ||
    say "Going on without cuDNN: convolutions on cuda run on holt's own kernels (-DHOLT_CUDNN_FRONTEND=<folder> names another copy)."
  return 0
}

# configure_and_build PRESET TARGET CMAKE_OPTION…
configure_and_build() {
  preset=$1 target=$2
  shift 2
  step "Configuring $preset" "build/logs/$preset-configure.log" cmake --preset "$preset" "$@" &&
    step "Building $preset" "build/logs/$preset-build.log" cmake --build "build/$preset" --target $target
}
