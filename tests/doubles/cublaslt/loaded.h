// The double as holt's own code finds it: opened, not linked, because a test asks whether it was opened at all.
#pragma once
#include "kernels/cuda/shared_library.h"
#include "tests/doubles/cublaslt/double.h"

namespace holt::test {

inline const cuda::SharedLibrary& cublaslt_double() {
  static const cuda::SharedLibrary lib("cuBLASLt's double", "HOLT_CUBLASLT_LIBRARY",
                                       "libcublasLt.so." + std::to_string(CUBLAS_VER_MAJOR));
  return lib;
}

/// LT(Matmul)(…) calls the double's cublasLtMatmul; HOLT_LT(products)() its holt_cublaslt_products.
#define LT(name) (holt::test::cublaslt_double().function<decltype(cublasLt##name)>("cublasLt" #name))
#define HOLT_LT(name) (holt::test::cublaslt_double().function<decltype(holt_cublaslt_##name)>("holt_cublaslt_" #name))

}  // namespace holt::test
