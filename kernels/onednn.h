// All of oneDNN that holt uses, and all that holt knows of it: products and convolutions in f32 and bf16. Internal to
// kernels/: matmul.cpp and conv2d.cpp are its callers (computes() is anybody's).
//
// Making a oneDNN primitive (it generates machine code) costs far more than running a small one, so they are kept, up
// to a few thousand, by shape; the least recently used leaves first. Primitives are shared by all threads; scratch
// memory is holt's own and returns to its cache after each call. Small work runs on one thread (parallel.h).
//
// Convolution weights, and the second operand of a product of many rows, are brought into oneDNN's blocked order in
// every call: next to the work that is cheap. Where weights stay the same over many calls they may stay packed as well
// (conv2d_affine).
#pragma once
#include <functional>
#include <string>

#include "kernels/conv2d.h"
#include "kernels/matmul.h"
#include "kernels/packed.h"

namespace holt::onednn {

/// Whether oneDNN computes in this dtype on this processor: f32 always, bf16 from AVX-512 on, f16 and f64 not.
bool computes(DType t);

// The contracts' functions for dtypes that compute(): shapes without zeros; pointers as void. bias may be null.
void matmul(DType t, const Matmul& p, const void* a, const void* b, const void* bias, void* c);
void conv2d_forward(DType t, const Conv2d& p, const void* x, const void* w, const void* bias, void* y);
/// Writes the weights of a convolution, [Cout, KH, KW, Cin] in its dtype.
using Weights = std::function<void(void* to)>;
/// y = relu?(x∗w + bias + y?), in float, rounded once; relu is p's, y is added if `add`. bias: float. The weights are
/// asked for where `packed` does not have them, and are in it afterwards.
void conv2d_affine(DType t, const Conv2d& p, const void* x, const Weights& weights, const float* bias, bool add,
                   void* y, Packed& packed);
void conv2d_backward_data(DType t, const Conv2d& p, const void* dy, const void* w, void* dx);
void conv2d_backward_weights(DType t, const Conv2d& p, const void* dy, const void* x, void* dw);

/// "2.6.3, avx512_core_bf16": the library and the instruction set that it uses here.
std::string version();

}  // namespace holt::onednn
