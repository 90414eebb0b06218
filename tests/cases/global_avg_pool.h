// The truth about global_avg_pool: inputs, a double-precision reference from the definition, bytes and flops.
#pragma once
#include "core/ops.h"
#include "kernels/global_avg_pool.h"
#include "tests/harness/case.h"

namespace holt::test {

inline Case global_avg_pool_forward_case(int64_t N, int64_t P, int64_t C, DType t) {
  Case c{"global_avg_pool_forward", format("[{}, {}, {}]", N, P, C), t};
  c.args = {{"x", Argument::in, t, N * P * C, uniform_values(1)}, {"y", Argument::out, t, N * C, {}, P}};
  c.reference = [=](Values& v) {
    for (int64_t n = 0; n < N; ++n)
      for (int64_t k = 0; k < C; ++k) {
        double sum = 0;
        for (int64_t p = 0; p < P; ++p) sum += v[0][(n * P + p) * C + k];
        v[1][n * C + k] = sum / double(P);
      }
  };
  c.run = [=](Device d, const std::vector<void*>& p) {
    on(d, t, "global_avg_pool", Floats{}, [&]<class T>(auto dev, T) {
      global_avg_pool_forward(dev, GlobalAvgPool{N, P, C}, as<const T>(p[0]), as<T>(p[1]));
    });
  };
  c.rungs.assign(global_avg_pool_forward_rungs.names.begin(), global_avg_pool_forward_rungs.names.end());
  c.bytes = double(N * (P + 1) * C) * size_of(t);
  c.flops = double(N * P * C);
  return c;
}

inline Case global_avg_pool_backward_case(int64_t N, int64_t P, int64_t C, DType t) {
  Case c{"global_avg_pool_backward", format("[{}, {}, {}]", N, P, C), t};
  c.args = {{"dy", Argument::in, t, N * C, uniform_values(2)}, {"dx", Argument::out, t, N * P * C}};
  c.reference = [=](Values& v) {
    for (int64_t i = 0; i < N * P * C; ++i) v[1][i] = v[0][i / (P * C) * C + i % C] / double(P);
  };
  c.run = [=](Device d, const std::vector<void*>& p) {
    on(d, t, "global_avg_pool", Floats{}, [&]<class T>(auto dev, T) {
      global_avg_pool_backward(dev, GlobalAvgPool{N, P, C}, as<const T>(p[0]), as<T>(p[1]));
    });
  };
  c.rungs.assign(global_avg_pool_backward_rungs.names.begin(), global_avg_pool_backward_rungs.names.end());
  c.bytes = double(N * (P + 1) * C) * size_of(t);
  c.flops = double(N * P * C);
  return c;
}

inline std::vector<Case> global_avg_pool_cases(Scope scope) {
  std::vector<Case> cases;
  const auto add = [&](int64_t N, int64_t P, int64_t C, DType t) {
    cases.push_back(global_avg_pool_forward_case(N, P, C, t));
    cases.push_back(global_avg_pool_backward_case(N, P, C, t));
  };
  if (scope == Scope::bench) {
    for (DType t : {DType::f32, DType::bf16}) {
      add(256, 49, 2048, t);      // ResNet-50's
      add(1024, 32 * 32, 16, t);  // a small network's channels
    }
    return cases;
  }
  if (scope == Scope::race) {
    add(2, 9, 8, DType::f32);
    add(2, 9, 5, DType::f32);
    return cases;
  }
  for (DType t : {DType::f32, DType::bf16, DType::f16, DType::f64}) {
    for (int64_t channels : {1, 31, 32, 33, 64, 1025})
      for (int64_t pixels : {1, 49}) add(2, pixels, channels, t);
    add(0, 4, 8, t);
    add(3, 4, 0, t);
    add(1, 4099, 3, t);
    add(2, 16, 4099, t);
  }
  return cases;
}

inline std::vector<Gradient> global_avg_pool_gradients() {
  Generator g(1);
  return {{"global_avg_pool",
           [](const std::vector<Tensor>& in) { return global_avg_pool(in[0]); },
           {normal({2, 3, 2, 4}, 0, 1, g, DType::f64)}}};
}

static const CaseFamily global_avg_pool_family{"global_avg_pool", global_avg_pool_cases, global_avg_pool_gradients};

}  // namespace holt::test
