// Matrix products of the cuda device by cuBLASLt: what kernels/matmul.h and kernels/weight_gradient.h offer, in
// NVIDIA's library. Opened at first use (shared_library.h); handles are one a device and shared by all threads.
//
// Row-major to column-major, the one place. Row-major [R, C] is, byte for byte, column-major [C, R] with leading
// dimension C: its transpose. So the library is asked for cᵀ, which it stores as column-major [N, M], and we read as
// row-major [M, N]:
//
//   cᵀ = op(b)ᵀ · op(a)ᵀ          its D [N, M] ← its A · its B, over K;   its A is our b, its B is our a
//
//   our operand      stored       the library sees, column-major       it needs               transpose
//   b                [K, N]       [N, K], leading dimension N          op(b)ᵀ [N, K]          no
//   b, transposed    [N, K]       [K, N], leading dimension K          op(b)ᵀ [N, K]          yes
//   a                [M, K]       [K, M], leading dimension K          op(a)ᵀ [K, M]          no
//   a, transposed    [K, M]       [M, K], leading dimension M          op(a)ᵀ [K, M]          yes
//
// Each operand keeps its own flag; only the roles change. bias [N] runs along the rows of D: the library's bias. pre
// [M, N] is its auxiliary matrix [N, M] with leading dimension N. An operand that serves the whole batch has stride 0.
// A weight gradient dw = dyᵀ·x is M = out, N = in, K = rows; db = Σ_rows dy sums its B over K: BGRADB.
//
// Epilogues: bias, relu and gelu_tanh with or without bias, gelu_tanh with its input saved (its GELU is the tanh one).
// Exact gelu, silu, quick_gelu, and what it has no algorithm for, is product + bias and then the own unary kernel.
// relu's backward is known from the output, which the next layer keeps anyway, so its bit mask would be bytes more, not
// less.
// Numerics: sums in f32 for 16-bit types, and never split over K through the output's type: only reduction schemes that
// keep f32 are allowed. f32 is f32 unless tf32_allowed().
// Memory: the workspace that the chosen algorithm asks for, from the pool, at most 32 MiB on Hopper and newer and
// 4 MiB before (NVIDIA's advice). Nothing synchronizes: a call may be captured into a graph, once the first call on
// that device was made outside of a capture.
#pragma once
#include <string>

#include "kernels/device.h"
#include "kernels/matmul.h"

namespace holt::cuda::cublaslt {

/// matmul() on gpu's stream; all pointers on its device. False, and nothing is done, where the library is missing or
/// has no algorithm for this product: the caller's own kernel runs. Throws Error if a call fails. t: f32, bf16, f16.
bool matmul(Cuda gpu, DType t, const Matmul& p, const void* a, const void* b, const void* bias, void* c, void* pre);

/// dw[out, in] = dyᵀ·x and db[out] = Σ_r dy[r] ← dy[rows, out], x[rows, in], dy read once. False as above.
bool weight_gradient(Cuda gpu, DType t, int64_t rows, int64_t out, int64_t in, const void* dy, const void* x, void* dw,
                     void* db);

/// "13.0.0, /usr/…/libcublasLt.so.13", or why there is none. Opens the library, unless own kernels are chosen.
std::string version();

}  // namespace holt::cuda::cublaslt
