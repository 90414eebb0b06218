// One call of the library, gathered from its descriptors, and whether it is legal.
#pragma once
#include "tests/doubles/cublaslt/descriptors.h"
#include "tests/doubles/cublaslt/double.h"

namespace holt::cublaslt_double {

/// Sizes of D = op(A)·op(B): [m, n] over k.
struct Sizes {
  int64_t m, n, k;
};

/// The descriptors' content; false (with the reason noted) if one is not what it should be.
bool gather(HoltLtCall& call, const void* op, const void* a, const void* b, const void* c, const void* d);

/// Everything but the data's pointers. The sizes are written if the call is legal.
cublasStatus_t check_problem(const HoltLtCall& call, Sizes& sizes);

/// The data's pointers: there, aligned as promised, and D apart from all that is read.
cublasStatus_t check_pointers(const HoltLtCall& call, uint32_t align_vector, size_t workspace_needed);

/// The same for calls that may share an algorithm: all that is in `call` but pointers, scalars and the workspace.
uint64_t fingerprint(const HoltLtCall& call);

/// Largest power of two up to 256 that divides the address.
uint32_t alignment_of(const void* p);

bool has_bias(uint32_t epilogue);
bool has_bias_gradient(uint32_t epilogue);
bool has_aux(uint32_t epilogue);
int64_t bytes_of(int32_t type);

}  // namespace holt::cublaslt_double
