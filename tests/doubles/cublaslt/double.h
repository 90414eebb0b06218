// A double of cuBLASLt, for tests on machines without a GPU: a shared library that exports the cublasLtXxx functions
// which holt calls, with the types of the real header and the documented meaning, and is stricter than the library.
//
//   descriptors   opaque; every attribute has its exact size (a test compares them with the real library's) and
//                 default; what this double does not model must keep its default
//   layouts       column-major; leading dimensions ≥ rows; equal batch counts; strides that do not overlap in D
//   types         the rows of NVIDIA's table for real floating point; everything else is refused
//   epilogues     vectors and auxiliary matrices present, of D's type, aligned, with legal leading dimensions
//   algorithms    only what the heuristic returned, for the very problem, alignments and workspace that it was told
//   results       in double precision on the CPU, queued on the stream as a kernel is; rounded once, to D's type. An
//                 algorithm that may reduce in the output's type does so, and rounds at every piece; one that uses the
//                 workspace overwrites it. Operands are rounded to TF32, bf16 or f16 where the compute type says so.
//
// A refused call returns the documented status, changes nothing, and its reason can be asked for.
#pragma once
#include <cublasLt.h>

#include <cstddef>
#include <cstdint>

extern "C" {

struct HoltLtMatrix {
  int32_t type, order;
  uint64_t rows, cols;
  int64_t ld;
  int32_t batch;
  int64_t stride;
};

/// One call of cublasLtMatmul as it came in, with what its algorithm was promised.
struct HoltLtCall {
  int32_t compute, scale, transpose_a, transpose_b;
  uint32_t epilogue;
  void *vector, *aux;  ///< CUBLASLT_MATMUL_DESC_BIAS_POINTER, …_EPILOGUE_AUX_POINTER
  int64_t vector_stride, aux_ld, aux_stride;
  HoltLtMatrix a, b, c, d;
  float alpha, beta;
  const void *a_data, *b_data, *c_data;
  void* d_data;
  void* workspace;
  size_t workspace_bytes;
  uint64_t max_workspace;
  uint32_t reduction_mask, align_a, align_b, align_c, align_d;
  cudaStream_t stream;
};

/// `observer` sees every accepted call before its work is queued; null: nobody does.
void holt_cublaslt_observe(void (*observer)(const HoltLtCall*, void*), void* context);
/// Why this thread's last refused call was refused; "" if none was.
const char* holt_cublaslt_refusal(void);
/// Calls of cublasLtMatmul that were accepted.
size_t holt_cublaslt_products(void);
/// Handles and descriptors that were created and not destroyed.
size_t holt_cublaslt_live(void);
/// The next heuristic finds no algorithm for a call with this epilogue; 0: takes it back.
void holt_cublaslt_refuse_epilogue(uint32_t epilogue);
/// The next call of cublasLtMatmul returns `status`.
void holt_cublaslt_fail_next(cublasStatus_t status);
}
