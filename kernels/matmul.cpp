#include "kernels/matmul.h"

#include <algorithm>

#include "kernels/onednn.h"
#include "kernels/unary.h"
#include "kernels/via_float.h"

namespace holt {

std::string to_string(Activation a) {
  switch (a) {
    case Activation::none:
      return "none";
    case Activation::relu:
      return "relu";
    case Activation::gelu:
      return "gelu";
    case Activation::gelu_tanh:
      return "gelu_tanh";
    case Activation::silu:
      return "silu";
    case Activation::quick_gelu:
      return "quick_gelu";
  }
  return "?";
}

namespace {

template <class T>
void fill_rows(int64_t rows, int64_t cols, const T* bias, T* c) {
  parallel_for(rows, cols, [=](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r)
      for (int64_t j = 0; j < cols; ++j) c[r * cols + j] = bias ? bias[j] : T(0);
  });
}

// c = activation(pre)
template <class T>
void activate_all(Activation a, int64_t n, const T* pre, T* c) {
  const auto all = [&](auto f) { unary_forward(Cpu{}, f, n, pre, c); };
  switch (a) {
    case Activation::none:
      return parallel_for(n, 1, [=](int64_t begin, int64_t end) { std::copy(pre + begin, pre + end, c + begin); });
    case Activation::relu:
      return all(Relu{});
    case Activation::gelu:
      return all(GeluExact{});
    case Activation::gelu_tanh:
      return all(GeluTanh{});
    case Activation::silu:
    case Activation::quick_gelu:
      return all(swish_of<acc_t<T>>(a));
  }
}

// The product in double, which oneDNN does not have. Operands are laid out row-major first; then each row of c is made
// in panels whose sums stay in L1. It exists to prove gradients: threaded, not tuned.
void product(const Matmul& p, const double* a, const double* b, double* c) {
  constexpr int64_t kPanel = 64;
  const Workspace packed(Device::cpu, (p.m * p.k + p.k * p.n) * sizeof(double));
  const auto row_major = [&](bool transposed, int64_t rows, int64_t cols, const double* x, double* to) {
    if (!transposed) return x;
    parallel_for(rows, cols, [=](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        for (int64_t j = 0; j < cols; ++j) to[i * cols + j] = x[j * rows + i];
    });
    return static_cast<const double*>(to);
  };
  a = row_major(p.transpose_a, p.m, p.k, a, packed.as<double>());
  b = row_major(p.transpose_b, p.k, p.n, b, packed.as<double>() + p.m * p.k);
  parallel_for(p.m, p.k * (p.n / 8 + 1), [=](int64_t begin, int64_t end) {
    for (int64_t panel = 0; panel < p.n; panel += kPanel)
      for (int64_t i = begin; i < end; ++i) {
        const int64_t width = std::min(kPanel, p.n - panel);
        double sum[kPanel] = {};
        for (int64_t k = 0; k < p.k; ++k) {
          const double x = a[i * p.k + k];
          const double* row = b + k * p.n + panel;
#pragma omp simd
          for (int64_t j = 0; j < width; ++j) sum[j] += x * row[j];
        }
        std::copy_n(sum, width, c + i * p.n + panel);
      }
  });
}

void matmul_f64(const Matmul& p, const double* a, const double* b, const double* bias, double* pre) {
  for (int64_t i = 0; i < p.batch; ++i) {
    double* out = pre + i * p.m * p.n;
    product(p, p.shared_a ? a : a + i * p.m * p.k, p.shared_b ? b : b + i * p.k * p.n, out);
    for (int64_t r = 0; bias && r < p.m; ++r)
      for (int64_t j = 0; j < p.n; ++j) out[r * p.n + j] += bias[j];
  }
}

}  // namespace

template <class B, class T>
void matmul(B cpu, Matmul p, const T* a, const T* b, const T* bias, T* c, T* pre) {
  const int64_t size = p.batch * p.m * p.n;
  if (size == 0) return;
  // One operand for all and rows that follow each other: one tall product.
  if (p.shared_b && !p.shared_a && !p.transpose_a) {
    p.m *= p.batch;
    p.batch = 1;
  }
  T* const sums = pre ? pre : c;  // bias included
  if (p.k == 0) {
    fill_rows(p.batch * p.m, p.n, bias, sums);
  } else if constexpr (std::is_same_v<T, double>) {
    matmul_f64(p, a, b, bias, sums);
  } else if (onednn::computes(dtype_of<T>)) {
    Matmul fused = p;
    if (pre) fused.activation = Activation::none;
    onednn::matmul(dtype_of<T>, fused, a, b, bias, sums);
    if (!pre) return;
  } else if constexpr (!std::is_same_v<T, float>) {
    const Widened wa((p.shared_a ? 1 : p.batch) * p.m * p.k, a), wb((p.shared_b ? 1 : p.batch) * p.k * p.n, b),
        wbias(p.n, bias);
    const Rounded rc(size, c), rpre(size, pre);
    matmul<Cpu, float>(cpu, p, wa, wb, wbias, rc, rpre);
    rc.store();
    rpre.store();
    return;
  }
  if (pre || p.activation != Activation::none) activate_all(p.activation, size, sums, c);
}

#define INSTANTIATE(T) template void matmul(Cpu, Matmul, const T*, const T*, const T*, T*, T*);
INSTANTIATE(float)
INSTANTIATE(bf16)
INSTANTIATE(f16)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace holt
