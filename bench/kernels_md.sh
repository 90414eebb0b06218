#!/bin/sh
# Writes the numbers of docs/kernels.md anew, between its "begin" and "end" marks.
#
#   bench/kernels_md.sh [BUILD [CUDA_BUILD]]
#
# BUILD (build/release) has the tools; CUDA_BUILD (the same) compiles holt_cuda for sm_80, 90, 100 and 120, as ./test does, and holds
# nvcc's report.
cd "$(dirname "$0")/.." || exit 1
build=${1:-build/release} cuda=${2:-${1:-build/release}}
cmake --build "$build" --target holt_counters holt_kernel_table && cmake --build "$cuda" --target holt_cuda || exit 1

# section NAME COMMAND…: what the command prints replaces what stands between the marks of that name.
section() {
  name=$1
  shift
  grep -q "<!-- begin $name -->" docs/kernels.md || { echo "docs/kernels.md has no section '$name'"; exit 1; }
  "$@" > "$build/section.md" || exit 1
  awk -v name="$name" -v from="$build/section.md" '
    $0 == "<!-- end " name " -->" { inside = 0 }
    !inside { print }
    $0 == "<!-- begin " name " -->" { inside = 1; while ((getline line < from) > 0) print line }' docs/kernels.md > "$build/kernels.md" &&
    mv "$build/kernels.md" docs/kernels.md
}

section table "$build/bench/holt_kernel_table" "$cuda" tests/gpu
section matmul-f32 "$build/bench/holt_counters" matmul --case=f32
section matmul-bf16 "$build/bench/holt_counters" matmul --case=bf16
section layer-norm "$build/bench/holt_counters" layer_norm --case=layer_norm_forward
section layer-norm-backward "$build/bench/holt_counters" layer_norm --case=layer_norm_backward
section attention "$build/bench/holt_counters" attention --case=attention_forward
section attention-backward "$build/bench/holt_counters" attention --case=attention_backward
