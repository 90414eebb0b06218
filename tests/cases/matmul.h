// The truth about matmul: c = activation(op(a)·op(b) + bias), and what its backward asks of it.
#pragma once
#include "core/ops.h"
#include "kernels/matmul.h"
#include "tests/harness/activation.h"
#include "tests/harness/case.h"

namespace holt::test {

struct MatmulExtras {
  bool bias = false, pre = false;
};

inline Case matmul_case(const Matmul& p, DType t, MatmulExtras e = {}) {
  Case c{
      "matmul",
      format("{}x[{}, {}, {}]{}{}{}{}{}{}{}", p.batch, p.m, p.n, p.k, p.transpose_a ? " aT" : "",
             p.transpose_b ? " bT" : "", p.shared_a ? " one a" : "", p.shared_b ? " one b" : "", e.bias ? " bias" : "",
             p.activation == Activation::none ? "" : format(" {}", p.activation), e.pre ? " pre" : ""),
      t};
  const int64_t size_a = (p.shared_a ? 1 : p.batch) * p.m * p.k, size_b = (p.shared_b ? 1 : p.batch) * p.k * p.n,
                size_c = p.batch * p.m * p.n;
  c.args = {{"a", Argument::in, t, size_a, uniform_values(1)},
            {"b", Argument::in, t, size_b, uniform_values(2)},
            {"bias", Argument::in, t, e.bias ? p.n : -1, uniform_values(3)},
            {"c", Argument::out, t, size_c, {}, p.k + 1},
            {"pre", Argument::out, t, e.pre ? size_c : -1, {}, p.k + 1}};
  c.reference = [=](Values& v) {
    std::vector<double> row(p.n);
    for (int64_t i = 0; i < p.batch; ++i)
      for (int64_t r = 0; r < p.m; ++r) {
        const double* a = v[0].data() + (p.shared_a ? 0 : i * p.m * p.k);
        const double* b = v[1].data() + (p.shared_b ? 0 : i * p.k * p.n);
        for (int64_t j = 0; j < p.n; ++j) row[j] = e.bias ? v[2][j] : 0;
        for (int64_t k = 0; k < p.k; ++k)
          for (int64_t j = 0; j < p.n; ++j)
            row[j] +=
                (p.transpose_a ? a[k * p.m + r] : a[r * p.k + k]) * (p.transpose_b ? b[j * p.k + k] : b[k * p.n + j]);
        for (int64_t j = 0; j < p.n; ++j) {
          v[3][(i * p.m + r) * p.n + j] = true_activation(p.activation, row[j]);
          if (e.pre) v[4][(i * p.m + r) * p.n + j] = row[j];
        }
      }
  };
  c.run = [=](Device d, const std::vector<void*>& v) {
    on(d, t, "matmul", Floats{}, [&]<class T>(auto dev, T) {
      matmul(dev, p, as<const T>(v[0]), as<const T>(v[1]), as<const T>(v[2]), as<T>(v[3]), as<T>(v[4]));
    });
  };
  const auto& rungs = t == DType::f32 ? matmul_rungs_f32 : matmul_rungs_16bit;
  c.rungs.assign(rungs.names.begin(), rungs.names.end());
  c.vendor = true;
  c.bytes = static_cast<double>(size_a + size_b + size_c * (e.pre ? 2 : 1)) * size_of(t);
  c.flops = 2.0 * p.batch * p.m * p.n * p.k;
  return c;
}

inline std::vector<Case> matmul_cases(Scope scope) {
  std::vector<Case> cases;
  if (scope == Scope::bench) {
    for (DType t : {DType::f32, DType::bf16}) {
      for (bool ta : {false, true})
        for (bool tb : {false, true}) cases.push_back(matmul_case({1, 1024, 1024, 1024, ta, tb}, t));
      const int64_t tokens = 16 * 197;  // ViT-B/16, batch 16: forward, and the two gradients of the first MLP layer
      cases.push_back(matmul_case({1, tokens, 2304, 768, false, true}, t, {.bias = true}));
      cases.push_back(matmul_case({1, tokens, 768, 768, false, true}, t, {.bias = true}));
      cases.push_back(matmul_case(
          {.batch = 1, .m = tokens, .n = 3072, .k = 768, .transpose_b = true, .activation = Activation::gelu}, t,
          {.bias = true, .pre = true}));
      cases.push_back(matmul_case({1, tokens, 768, 3072, false, true}, t, {.bias = true}));
      cases.push_back(matmul_case({1, tokens, 768, 3072}, t));
      cases.push_back(matmul_case({1, 3072, 768, tokens, true}, t));
      cases.push_back(matmul_case({192, 197, 197, 64, false, true}, t));  // q·kᵀ
      cases.push_back(matmul_case({192, 197, 64, 197}, t));               // p·v
      cases.push_back(matmul_case({1, 128, 10, 64, false, true}, t, {.bias = true}));
    }
    return cases;
  }
  if (scope == Scope::study)
    return {matmul_case({1, 256, 256, 256}, DType::f32), matmul_case({1, 256, 256, 256}, DType::bf16)};
  if (scope == Scope::race) {
    for (DType t : {DType::f32, DType::bf16})
      for (bool transposed : {false, true}) {
        cases.push_back(matmul_case({1, 9, 10, 37, transposed, transposed}, t, {.bias = true}));
        cases.push_back(matmul_case({1, 16, 16, 72, transposed, transposed}, t));
      }
    return cases;
  }
  for (DType t : {DType::f32, DType::bf16, DType::f16, DType::f64}) {
    for (bool ta : {false, true})
      for (bool tb : {false, true}) {
        cases.push_back(matmul_case({1, 31, 32, 33, ta, tb}, t));
        cases.push_back(matmul_case({1, 136, 72, 104, ta, tb}, t));  // multiples of eight: vector loads, two tiles
        cases.push_back(matmul_case({3, 33, 5, 31, ta, tb}, t, {.bias = true}));
        cases.push_back(matmul_case({3, 24, 16, 40, ta, tb, true, false}, t));
        cases.push_back(matmul_case({3, 24, 16, 40, ta, tb, false, true}, t));
        if (t == DType::f32 || t == DType::bf16)  // rows enough for b to be put into oneDNN's order
          cases.push_back(matmul_case({1, 2050, 19, 21, ta, tb}, t, {.bias = ta}));
      }
    for (auto [m, n, k] : {std::array<int64_t, 3>{0, 3, 2},
                           {3, 0, 2},
                           {3, 2, 0},
                           {1, 1, 1},
                           {1, 1, 1025},
                           {1025, 3, 2},
                           {2, 1025, 3},
                           {32, 32, 32},
                           {5, 7, 4099}})
      for (bool bias : {false, true}) cases.push_back(matmul_case({1, m, n, k, false, true}, t, {.bias = bias}));
    for (Activation a : {Activation::none, Activation::relu, Activation::gelu, Activation::gelu_tanh, Activation::silu,
                         Activation::quick_gelu})
      for (bool pre : {false, true})
        for (int64_t k : {0, 20})
          cases.push_back(matmul_case({.batch = 1, .m = 19, .n = 40, .k = k, .transpose_b = true, .activation = a}, t,
                                      {.bias = true, .pre = pre}));
    for (Activation a : {Activation::relu, Activation::gelu_tanh, Activation::quick_gelu})
      for (bool pre : {false, true})
        for (int64_t n : {15, 16})  // a vendor's auxiliary matrix wants rows of whole eights
          cases.push_back(matmul_case({.batch = 2, .m = 9, .n = n, .k = 12, .activation = a}, t, {.pre = pre}));
    cases.push_back(matmul_case({3, 197, 197, 64, false, true}, t));                   // ViT-Ti: q·kᵀ
    cases.push_back(matmul_case({1, 197, 192, 192, false, true}, t, {.bias = true}));  // its projection
    cases.push_back(matmul_case({1, 4, 1000, 512, false, true}, t, {.bias = true}));   // ResNet-18's head
    cases.push_back(matmul_case({1, 64, 48, 1100, true, false}, t));                   // a weight gradient
  }
  return cases;
}

inline std::vector<Gradient> matmul_gradients() {
  Generator g(1);
  const auto random = [&](Shape s) { return normal(s, 0, 1, g, DType::f64); };
  std::vector<Gradient> all;
  for (bool ta : {false, true})
    for (bool tb : {false, true})
      for (int kind : {0, 1, 2, 3}) {  // two matrices, two batches, a without batch, b without batch
        const auto shape = [](bool batched, int64_t rows, int64_t cols, bool t) {
          const int64_t r = t ? cols : rows, c = t ? rows : cols;
          return batched ? Shape{2, 3, r, c} : Shape{r, c};
        };
        all.push_back(
            {format("matmul{}{} kind {}", ta ? " aT" : "", tb ? " bT" : "", kind),
             [=](const std::vector<Tensor>& in) { return matmul(in[0], in[1], ta, tb); },
             {random(shape(kind == 1 || kind == 3, 4, 5, ta)), random(shape(kind == 1 || kind == 2, 5, 3, tb))}});
      }
  for (Activation a : {Activation::none, Activation::relu, Activation::gelu, Activation::gelu_tanh, Activation::silu,
                       Activation::quick_gelu})
    all.push_back({format("linear {}", a),
                   [=](const std::vector<Tensor>& in) { return linear(in[0], in[1], in[2], a); },
                   {random({2, 3, 5}), random({4, 5}), random({4})}});
  all.push_back({"linear without bias",
                 [](const std::vector<Tensor>& in) { return linear(in[0], in[1], {}, Activation::gelu); },
                 {random({5}), random({4, 5})}});
  return all;
}

static const CaseFamily matmul_family{"matmul", matmul_cases, matmul_gradients};

}  // namespace holt::test
