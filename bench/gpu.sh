#!/bin/sh
# On a machine with a GPU: builds, runs every test on it (a test that skips counts as failed), times every op's rungs against the
# vendor's libraries, and writes one report: build/gpu/gpu-report/report.md with roofline.svg beside it. Ten minutes.
#
#   bench/gpu.sh                                exit 0: all well; 1: something failed (the report says what); 3: no GPU here
#   bench/gpu.sh --dry-run --build=FOLDER       without a GPU and without building: what would run is printed, a few cases are timed on
#                                               the CPU by FOLDER's holt_bench, and the report is made of them
cd "$(dirname "$0")/.." || exit 1
. cmake/setup.sh

dry= build=build/gpu
for argument in "$@"; do
  case $argument in
    --dry-run) dry=yes ;;
    --build=*) build=${argument#--build=} ;;
    *) say "bench/gpu.sh: unknown argument '$argument'; it takes --dry-run and --build=FOLDER"; exit 2 ;;
  esac
done

gpu=$(nvidia-smi --query-gpu=name,compute_cap,driver_version --format=csv,noheader 2> /dev/null | head -n 1)
if [ -z "$gpu" ] && [ -z "$dry" ]; then
  say "bench/gpu.sh: no GPU here (nvidia-smi finds none); --dry-run does what can be done without one"
  exit 3
fi
name=$(echo "$gpu" | cut -d, -f1)
architecture=$(echo "$gpu" | cut -d, -f2 | tr -d ' .')
began=$(date +%s)
out=$build/${dry:+dry-}gpu-report  # apart: a test of the real run has this script run dry
rm -rf "$out"
mkdir -p "$out/results"
failed=

# The steps, each a command line that a dry run prints.
configure="cmake -G Ninja -S . -B $build -DCMAKE_BUILD_TYPE=Release -DHOLT_CUDA=ON -DHOLT_CUDA_ARCHITECTURES=${architecture:-90}"
compile="cmake --build $build"
# GPU memory and time are shared by what runs side by side: a few at a time.
check="ctest --test-dir $build --output-on-failure --no-tests=error -j 4"
time_all="$build/bench/holt_bench --device=cuda --benchmark_min_time=0.05 --csv=$out/bench.csv"

if [ -n "$dry" ]; then
  for command in "$configure" "$compile" "$check" "$time_all"; do say "would run: $command"; done
  name="${name:-no GPU: a dry run on the CPU}"
  # A test that has this script run it must not wait for the whole suite: listing it shows that it can be found.
  step "Listing the tests" "$out/test.log" ctest --test-dir "$build" -N || failed="$failed tests"
  step "Timing a few cases on the CPU" "$out/bench.log" "$build/bench/holt_bench" --device=cpu --benchmark_min_time=0.01 \
    "--benchmark_filter=^(softmax_forward .16384|matmul 1x.1024, 1024, 1024. (f32|bf16))" "--csv=$out/bench.csv" || failed="$failed benchmarks"
else
  install_packages $HOLT_PACKAGES $HOLT_TEST_PACKAGES || exit 1
  step "Configuring for $name, sm_$architecture" "$out/configure.log" $configure || exit 1
  step "Building" "$out/build.log" $compile || exit 1
  rm -rf "$build/results"
  step "Testing on the GPU" "$out/test.log" $check || failed="$failed tests"
  cp "$build"/results/*.json "$out/results/"
  step "Timing every rung" "$out/bench.log" $time_all || failed="$failed benchmarks"
fi

count() { find "$out/results" -name '*.json' -exec cat {} + | grep -c "$1"; }
skipped=$(count '"result": "SKIPPED"')
broken=$(count '"failures": \[')
ran=$(count '"result": "COMPLETED"')
[ "$skipped" -gt 0 ] && failed="$failed skipped-tests"

{
  echo "# holt on ${name}"
  echo
  echo "${gpu:-No GPU.} Commit $(git rev-parse --short HEAD 2> /dev/null || echo unknown), $(date -u +%Y-%m-%dT%H:%MZ), $(($(date +%s) - began)) s in all."
  echo
  if [ -n "$dry" ]; then echo "A dry run: no test was run."; else echo "Tests: $((ran - broken)) passed, $broken failed, $skipped skipped."; fi
  echo "Failed: ${failed:- nothing}."
  echo
  awk -v gpu="$name" -v svg="$out/roofline.svg" -f bench/gpu_report.awk "$out/bench.csv"
} > "$out/report.md" || failed="$failed report"
say "$out/report.md"
[ -z "$failed" ] || { say "failed:$failed"; exit 1; }
