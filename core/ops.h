// The catalogue of differentiable ops. Each is one file in core/ops/: check shapes, allocate, call the kernel, record
// the backward.
//
// Images are NHWC and convolution weights [Cout, KH, KW, Cin]. All tensors of a call are on one device; nothing is
// silently cast or moved. Errors begin with the op's name.
#pragma once
#include <utility>
#include <vector>

#include "core/random.h"
#include "core/tensor.h"
#include "kernels/activation.h"

namespace holt {

// ---- Element-wise. Two tensors of one floating dtype broadcast as in NumPy; gradients are summed back.
Tensor add(const Tensor& a, const Tensor& b);
Tensor sub(const Tensor& a, const Tensor& b);
Tensor mul(const Tensor& a, const Tensor& b);
Tensor div(const Tensor& a, const Tensor& b);
Tensor add(const Tensor& a, double b);
Tensor mul(const Tensor& a, double b);
inline Tensor operator+(const Tensor& a, const Tensor& b) { return add(a, b); }
inline Tensor operator-(const Tensor& a, const Tensor& b) { return sub(a, b); }
inline Tensor operator*(const Tensor& a, const Tensor& b) { return mul(a, b); }
inline Tensor operator/(const Tensor& a, const Tensor& b) { return div(a, b); }
inline Tensor operator+(const Tensor& a, double b) { return add(a, b); }
inline Tensor operator-(const Tensor& a, double b) { return add(a, -b); }
inline Tensor operator*(const Tensor& a, double b) { return mul(a, b); }
inline Tensor operator/(const Tensor& a, double b) { return mul(a, 1 / b); }
inline Tensor operator-(const Tensor& a) { return mul(a, -1); }
Tensor exp(const Tensor& x);
Tensor log(const Tensor& x);
Tensor sqrt(const Tensor& x);
Tensor square(const Tensor& x);
Tensor abs(const Tensor& x);
Tensor relu(const Tensor& x);
enum class Gelu { exact, tanh };
/// x·Φ(x) (Hendrycks & Gimpel 2016), by erf or by the tanh approximation.
Tensor gelu(const Tensor& x, Gelu kind = Gelu::exact);
Tensor sigmoid(const Tensor& x);
Tensor tanh(const Tensor& x);
Tensor silu(const Tensor& x);        ///< x·σ(x)
Tensor quick_gelu(const Tensor& x);  ///< x·σ(1.702·x), OpenAI's CLIP's

// ---- Reductions. No axes means all of them. Results of sum and mean over 16-bit inputs are f32.
Tensor sum(const Tensor& x, const std::vector<int>& axes = {}, bool keepdim = false);
Tensor mean(const Tensor& x, const std::vector<int>& axes = {}, bool keepdim = false);
/// Largest values along `axis` and their (first) positions as i64. The gradient goes to that position.
std::pair<Tensor, Tensor> max(const Tensor& x, int axis, bool keepdim = false);
Tensor argmax(const Tensor& x, int axis, bool keepdim = false);

// ---- Products.
/// op(a)·op(b) on the last two axes, op = transpose if asked; leading axes are batch axes, equal in both or absent from
/// one.
Tensor matmul(const Tensor& a, const Tensor& b, bool transpose_a = false, bool transpose_b = false);
/// activation(x·wᵀ + bias): x [..., in], w [out, in], bias [out] or undefined → [..., out]. One kernel, bias and
/// activation included.
Tensor linear(const Tensor& x, const Tensor& w, const Tensor& bias = {}, Activation activation = Activation::none);

struct Conv2dOptions {
  int stride = 1, padding = 0;
  int dilation = 1;  ///< pixels from one tap of the window to the next
  int groups = 1;    ///< of channels that do not meet; Cin groups of one: depthwise
};
/// x [N,H,W,Cin], w [Cout,KH,KW,Cin/groups], bias [Cout] or undefined → [N,OH,OW,Cout],
/// OH = (H + 2·padding − (KH − 1)·dilation − 1) / stride + 1. groups divides Cin and Cout.
Tensor conv2d(const Tensor& x, const Tensor& w, const Tensor& bias = {}, Conv2dOptions options = {});

// ---- Pooling on [N,H,W,C]. stride 0 means kernel.
Tensor max_pool2d(const Tensor& x, int kernel, int stride = 0, int padding = 0);
/// Padding counts as zeros (count_include_pad).
Tensor avg_pool2d(const Tensor& x, int kernel, int stride = 0, int padding = 0);
Tensor global_avg_pool(const Tensor& x);  ///< [N,H,W,C] → [N,C]

// ---- Normalisation.
struct BatchNormOptions {
  bool training =
      true;  ///< normalise with the batch's statistics and update the running ones; else with the running ones
  double momentum = 0.1;  ///< running ← (1 − momentum)·running + momentum·batch (unbiased variance, as PyTorch)
  double eps = 1e-5;
  bool relu = false;  ///< fused: y = max(0, …)
};
/// Per channel (last axis) over all other axes (Ioffe & Szegedy 2015): y = relu?((x − mean)·rstd·w + b + residual?). w,
/// b, running_mean and running_var are f32 [C] (f64 for f64 x); the running ones are updated in place in training and
/// are never differentiated.
Tensor batch_norm(const Tensor& x, const Tensor& w, const Tensor& b, const Tensor& running_mean,
                  const Tensor& running_var, BatchNormOptions options = {}, const Tensor& residual = {});
/// What a frozen batch norm consists of: f32 [C] each.
struct BatchNormWeights {
  Tensor weight, bias, running_mean, running_var;
};
/// relu?(batch_norm(conv2d(x, w)) + residual?) with the running statistics. On the cpu, where nothing of it is to be
/// trained, the norm is part of the convolution: no tensor between them. Otherwise the two ops. A residual that is
/// moved in, and that nobody else holds, may become the result. core/inference.h keeps what is made of w.
Tensor conv2d_batch_norm(const Tensor& x, const Tensor& w, Conv2dOptions options, const BatchNormWeights& norm,
                         double eps = 1e-5, bool relu = false, Tensor residual = {});
/// Over the last axis: x [..., C], w and b [C], f32 (f64 for f64 x).
Tensor layer_norm(const Tensor& x, const Tensor& w, const Tensor& b, double eps = 1e-5);
/// {layer_norm(x + residual), x + residual} in one pass: the normalised branch and the residual stream of a
/// transformer. x and residual are of one shape.
std::pair<Tensor, Tensor> add_layer_norm(const Tensor& x, const Tensor& residual, const Tensor& w, const Tensor& b,
                                         double eps = 1e-5);

// ---- Attention.
/// softmax(scale·q·kᵀ)·v for each head (Vaswani et al. 2017): q [B, Tq, H, D], k and v [B, Tk, H, D] → [B, Tq, H, D].
/// D: a multiple of 8, at most 128. scale 0 means 1/√D. No score matrix is kept.
Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v, double scale = 0);
/// The same of one tensor that holds all three, [B, T, 3, H, D], as a linear layer writes them: nothing is permuted.
Tensor attention(const Tensor& qkv, double scale = 0);

// ---- Softmax and loss, over the last axis.
Tensor softmax(const Tensor& x);
Tensor log_softmax(const Tensor& x);
struct CrossEntropyOptions {
  double label_smoothing = 0;  ///< target = (1 − s)·onehot + s / (number of allowed classes)
  Tensor class_mask =
      {};  ///< u8 [C], 1 = in the softmax; undefined = all. A label outside the mask is an Error on cpu.
};
/// Mean over the batch of −Σ target·log softmax(logits): logits [N,C] floating, labels i64 [N] in 0 … C−1 → f32 scalar
/// (f64 for f64).
Tensor cross_entropy(const Tensor& logits, const Tensor& labels, const CrossEntropyOptions& options = {});
/// Mean over the batch of KL(softmax_A(teacher/T) ‖ softmax_A(logits/T)), A the classes that class_mask (u8 [C])
/// allows; undefined = all. teacher and logits [N,C] → scalar as cross_entropy's. The teacher is a constant: it must
/// not require a gradient. Distillation multiplies this by T².
Tensor kl_divergence(const Tensor& teacher, const Tensor& logits, double temperature = 1,
                     const Tensor& class_mask = {});

// ---- Others.
/// Zeroes elements with probability p and divides the rest by 1 − p. The mask is recomputed in the backward, not
/// stored.
Tensor dropout(const Tensor& x, double p, Generator& generator);
/// Copies with axes reordered: result.shape[i] = x.shape[axes[i]].
Tensor permute(const Tensor& x, const std::vector<int>& axes);
Tensor transpose(const Tensor& x, int axis0, int axis1);
/// Tensors that agree in all axes but one, one after the other along it.
Tensor concat(const std::vector<Tensor>& parts, int axis = 0);
/// Places start … end − 1 of an axis, copied. Along the first axis narrow() is a view.
Tensor slice(const Tensor& x, int axis, int64_t start, int64_t end);
/// x [N,H,W,C] with zeros around: [N, H + top + bottom, W + left + right, C].
Tensor pad2d(const Tensor& x, int top, int bottom, int left, int right);
/// Bilinear samples of x [N,H,W,C] at (I + A)[X, Y, 1]ᵀ / (1 + P₁X + P₂Y), zeros outside: theta [8] = A (2×3, row by
/// row), P; f32 (f64 for f64 x), shared by all images. X and Y are −1 … 1 between the image's edges (PyTorch's
/// grid_sample with align_corners=False). theta = 0 gives x itself.
Tensor projective_sample(const Tensor& x, const Tensor& theta);

}  // namespace holt
