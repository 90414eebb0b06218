// Mixed precision: f32 weights, 16-bit arithmetic where the arithmetic is.
//
//   const Autocast scope(DType::bf16);            // this thread, until the scope ends
//   const Tensor loss = cross_entropy(model(images), labels);
//   loss.backward();                              // gradients of the f32 weights are f32
//
// What an op does in a scope of dtype P, bf16 or f16 (f32 inputs outside a scope behave as ever):
//
//   op                                    computes in               result
//   ------------------------------------  ------------------------  -------------------------------------------
//   conv2d linear matmul attention        P: f32 and 16-bit inputs  P
//                                         are cast to P
//   batch_norm layer_norm                 x as it comes, weights    x's dtype; a residual is cast to it
//                                         and statistics f32
//   softmax log_softmax                   x as it comes, f32        x's dtype
//                                         inside
//   cross_entropy kl_divergence sum mean  inputs as they come, f32  f32; a teacher and logits of two dtypes are
//                                         inside                    cast to f32 first
//   add sub mul div add_layer_norm        f32: the 16-bit operand   f32
//   of two dtypes                         is cast
//   everything else: of one operand, of   what it gets              what it gets
//   two of one dtype, pooling, copies …
//
// f64 is never cast, and no op casts to or from it. Casts are recorded ops: the backward casts back. It computes in the
// dtypes that its forward chose, wherever it is called.
//
// Weights (conv2d's and linear's weight and bias; a trained operand of matmul) are cast once and the copy is kept: for
// all uses, all micro-batches and all evaluations until the weight changes (Storage::version) or the thread's outermost
// scope ends. Each use has its own node, so that gradients of several uses add up in f32.
//
// f16 has a small range: its gradients need a loss scale (nn/grad_scaler.h). bf16 has the range of f32.
#pragma once
#include <utility>

#include "core/tensor.h"

namespace holt {

/// Scopes nest; f32 switches off: ops then take what they get, as outside (a 16-bit tensor from an outer scope must be
/// cast by hand to meet an f32 one). Error for dtypes other than f32, bf16, f16.
class Autocast {
 public:
  explicit Autocast(DType precision);
  ~Autocast();
  Autocast(const Autocast&) = delete;
  Autocast& operator=(const Autocast&) = delete;

 private:
  DType previous_;
};

/// The innermost scope's dtype; f32 without one.
DType autocast_dtype();

/// A 16-bit tensor as f32 (differentiable), others as they are: for what leaves a scope.
Tensor widened(const Tensor& x);

/// Whether the device multiplies in this dtype itself. Where not (f16 on cpu; bf16 on a cpu without AVX-512 BF16) every
/// product is widened to f32 and its result rounded: the same numbers, slower than f32.
bool computes_natively(Device device, DType t);

/// Copies of weights that this thread's scopes made since its outermost one began.
int64_t autocast_copies();

// ---- For ops.

/// Whether a scope would cast any of these inputs of a compute-bound op. False where one is f64.
bool autocast_changes(std::initializer_list<const Tensor*> inputs);
/// x, f32 or 16-bit, in the scope's dtype; others and undefined ones as they are.
Tensor autocast(const Tensor& x);
/// The same for a weight: of a leaf the copy is kept.
Tensor autocast_weight(const Tensor& w);
/// Whether a scope brings these two, of different dtypes, to f32.
bool autocast_promotes(const Tensor& a, const Tensor& b);

}  // namespace holt
