#include "graph.h"
#include "kernels/dtype.h"

#include <bit>
#include <cmath>

namespace holt_cudnn {
namespace {

// Elements as double, in [N, H, W, C] order.
std::vector<double> load(const Tensor& t, const void* p, bool tf32) {
  std::vector<double> values(static_cast<size_t>(t.elements()));
  for (size_t i = 0; i < values.size(); ++i)
    if (t.type == CUDNN_DATA_BFLOAT16) {
      values[i] = float(static_cast<const holt::bf16*>(p)[i]);
    } else if (t.type == CUDNN_DATA_HALF) {
      values[i] = float(static_cast<const holt::f16*>(p)[i]);
    } else {
      const auto bits = std::bit_cast<uint32_t>(static_cast<const float*>(p)[i]);
      values[i] = std::bit_cast<float>(tf32 ? (bits + 0x1000u) & ~0x1fffu : bits);  // 10 bits of the mantissa stay
    }
  return values;
}

void store(const Tensor& t, void* p, const std::vector<double>& values) {
  for (size_t i = 0; i < values.size(); ++i)
    if (t.type == CUDNN_DATA_BFLOAT16)
      static_cast<holt::bf16*>(p)[i] = holt::bf16(static_cast<float>(values[i]));
    else if (t.type == CUDNN_DATA_HALF)
      static_cast<holt::f16*>(p)[i] = holt::f16(static_cast<float>(values[i]));
    else
      static_cast<float*>(p)[i] = static_cast<float>(values[i]);
}

// f(position in y, in x, in w) for every product of the definition.
template <class F>
void for_each_product(const Graph& g, F&& f) {
  const auto [N, C, H, W] = g.x.dims;
  const auto [K, in, R, S] = g.w.dims;
  const int64_t out = K / (C / in);  // of a group
  const int64_t P = g.y.dims[2], Q = g.y.dims[3];
  for (int64_t n = 0; n < N; ++n)
    for (int64_t p = 0; p < P; ++p)
      for (int64_t q = 0; q < Q; ++q)
        for (int64_t r = 0; r < R; ++r)
          for (int64_t s = 0; s < S; ++s) {
            const int64_t h = p * g.window.stride[0] + r * g.window.dilation[0] - g.window.pre[0],
                          w = q * g.window.stride[1] + s * g.window.dilation[1] - g.window.pre[1];
            if (h < 0 || h >= H || w < 0 || w >= W) continue;
            for (int64_t k = 0; k < K; ++k)
              for (int64_t c = 0; c < in; ++c)
                f(((n * P + p) * Q + q) * K + k, ((n * H + h) * W + w) * C + k / out * in + c,
                  ((k * R + r) * S + s) * in + c);
          }
}

}  // namespace

void compute(const Graph& g, int64_t engine, const std::vector<void*>& pointers) {
  const bool tf32 = engine == 7 && g.x.type == CUDNN_DATA_FLOAT;
  const Tensor& output = g.output();
  std::vector<double> out(static_cast<size_t>(output.elements()), 0.0);
  const auto at = [](std::vector<double>& v, int64_t i) -> double& { return v[static_cast<size_t>(i)]; };
  std::vector<double> x, w, y;
  if (g.kind != Kind::data) x = load(g.x, pointers[0], tf32);
  if (g.kind != Kind::weights) w = load(g.w, pointers[1], tf32);
  if (g.kind != Kind::forward) y = load(g.y, pointers[2], tf32);
  for_each_product(g, [&](int64_t iy, int64_t ix, int64_t iw) {
    if (g.kind == Kind::forward)
      at(out, iy) += at(x, ix) * at(w, iw);
    else if (g.kind == Kind::data)
      at(out, ix) += at(y, iy) * at(w, iw);
    else
      at(out, iw) += at(y, iy) * at(x, ix);
  });
  if (g.bias) {
    const std::vector<double> bias = load(*g.bias, pointers[3], false);
    for (size_t i = 0; i < out.size(); ++i) out[i] += bias[i % bias.size()];
  }
  if (g.relu)
    for (double& v : out) v = v < 0 ? 0 : v;
  void* const target = pointers[g.kind == Kind::forward ? 2 : g.kind == Kind::data ? 0 : 1];
  store(output, target, out);
}

}  // namespace holt_cudnn
