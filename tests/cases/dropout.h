// The truth about dropout: its mask from Philox and the definition of uniform01, element by element.
#pragma once
#include "core/ops.h"
#include "kernels/dropout.h"
#include "tests/harness/case.h"

namespace holt::test {

constexpr uint64_t kLiveStream = 0x1234567;

inline Case dropout_case(int64_t n, double p, DType t, bool live = false) {
  const Dropout o{p, 0x123456789abcdef0u, 0xfedcba9876543210u};  // all 128 bits of key and stream matter
  Case c{"dropout", format("[{}] p {}", n, p), t};
  c.args = {{"x", Argument::in, t, n, normal_values(1)}, {"y", Argument::out, t, n}};
  c.reference = [=](Values& v) {
    for (size_t i = 0; i < v[0].size(); ++i) {
      const double u = uniform01(philox(o.seed, o.stream, i / 4).v[i % 4]);
      v[1][i] = u >= p ? v[0][i] / (1 - p) : 0;
    }
  };
  c.run = [=](Device d, const std::vector<void*>& q) {
    on(d, t, "dropout", Floats{}, [&]<class T>(auto dev, T) { dropout(dev, o, n, as<const T>(q[0]), as<T>(q[1])); });
  };
  if (live) {  // the stream's number from the device's memory, as a graph passes it; the number itself is a wrong one
    c.shape += " live stream";
    c.args.push_back({"stream", Argument::in, DType::i64, 1, constant_values(double(kLiveStream))});
    c.reference = [=](Values& v) {
      for (size_t i = 0; i < v[0].size(); ++i) {
        const double u = uniform01(philox(o.seed, kLiveStream, i / 4).v[i % 4]);
        v[1][i] = u >= p ? v[0][i] / (1 - p) : 0;
      }
    };
    c.run = [=](Device d, const std::vector<void*>& q) {
      Dropout now = o;
      now.live_stream = as<const uint64_t>(q[2]);
      on(d, t, "dropout", Floats{},
         [&]<class T>(auto dev, T) { dropout(dev, now, n, as<const T>(q[0]), as<T>(q[1])); });
    };
  }
  c.rungs.assign(dropout_rungs.names.begin(), dropout_rungs.names.end());
  c.bytes = 2.0 * static_cast<double>(n) * static_cast<double>(size_of(t));
  c.flops = static_cast<double>(n);
  return c;
}

inline std::vector<Case> dropout_cases(Scope scope) {
  std::vector<Case> cases;
  if (scope == Scope::bench)
    return {dropout_case(64 * 197 * 768, 0.1, DType::f32), dropout_case(64 * 197 * 768, 0.1, DType::bf16)};
  if (scope == Scope::race) return {dropout_case(70, 0.5, DType::f32), dropout_case(70, 0.5, DType::bf16)};
  for (DType t : {DType::f32, DType::bf16, DType::f16, DType::f64}) {
    for (int64_t n : {0, 1, 3, 31, 32, 33, 512, 1025, 4099}) cases.push_back(dropout_case(n, 0.3, t));
    for (double p : {0.0, 0x1p-24, 0.5, 0.999, 1.0}) cases.push_back(dropout_case(1025, p, t));
  }
  for (DType t : {DType::f32, DType::bf16}) cases.push_back(dropout_case(1025, 0.3, t, true));
  cases.push_back(dropout_case(3 * (1 << 16) + 5, 0.1, DType::f32));  // more than one thread's share
  return cases;
}

inline std::vector<Gradient> dropout_gradients() {
  Generator g(3);
  return {{"dropout",
           [](const std::vector<Tensor>& in) {
             Generator same(5);
             return dropout(in[0], 0.4, same);
           },
           {normal({5, 9}, 0, 1, g, DType::f64)}}};
}

static const CaseFamily dropout_family{"dropout", dropout_cases, dropout_gradients};

}  // namespace holt::test
