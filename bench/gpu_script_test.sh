#!/bin/sh
# gpu_script_test.sh BUILD: bench/gpu.sh refuses in one line where there is no GPU, and its dry run makes a whole report.
cd "$(dirname "$0")/.." || exit 1
build=$1
fail() { echo "gpu_script_test: $*"; exit 1; }

if ! nvidia-smi > /dev/null 2>&1; then
  said=$(bench/gpu.sh --build="$build")
  [ $? -eq 3 ] || fail "without a GPU gpu.sh must exit with 3; it said: $said"
  [ "$(echo "$said" | wc -l)" -eq 1 ] || fail "more than one line: $said"
fi
bench/gpu.sh --nonsense > /dev/null
[ $? -eq 2 ] || fail "an unknown argument must exit with 2"

bench/gpu.sh --dry-run --build="$build" || fail "the dry run failed"
report=$build/dry-gpu-report/report.md
grep -q '^Failed:  *nothing' "$report" || fail "no 'Failed: nothing' in $report"
grep -qE '^\| softmax_forward \[.*\| [0-9.]+ (µs|ms) \| [0-9.]+ \| [0-9]+ \|' "$report" || fail "no softmax in $report"
grep -qE '^\| matmul 1x\[1024, 1024, 1024\] f32 \|' "$report" || fail "no matmul in $report"
[ "$(grep -c '<circle' "$build/dry-gpu-report/roofline.svg")" -ge 3 ] || fail "no dots in roofline.svg"
tail -n 1 "$build/dry-gpu-report/roofline.svg" | grep -q '</svg>' || fail "roofline.svg has no end"

# Vendor against own, from lines as a GPU's benchmark writes them.
printf 'head\n"matmul 1x[4, 5] f32 naive",4e-3,1e5,2e6,1,2,mem,5,3000,50000,c,"x",1\n"matmul 1x[4, 5] f32 mma",2e-3,1e5,2e6,1,2,mem,5,3000,50000,c,"x",1\n"matmul 1x[4, 5] f32 vendor",1e-3,1e5,2e6,1,2,mem,5,3000,50000,c,"x",1\n' > "$build/dry-gpu-report/made.csv"
awk -v gpu="NVIDIA H100" -v svg="$build/dry-gpu-report/made.svg" -f bench/gpu_report.awk "$build/dry-gpu-report/made.csv" |
  grep -qF '| matmul 1x[4, 5] f32 | mma | 2.00 ms | 1.00 ms | 2.00 |' || fail "own against vendor is not told"
exit 0
