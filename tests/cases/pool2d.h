// The truth about max_pool2d and avg_pool2d: inputs, a double-precision reference from the definition, bytes and flops.
#pragma once
#include <limits>

#include "core/ops.h"
#include "kernels/pool2d.h"
#include "tests/harness/case.h"

namespace holt::test {

struct PoolInput {
  int64_t images;
  int height, width, channels, kernel, stride, padding;
  const char* name = "";  // what is special about the values
  Init x = uniform_values(1);
};

inline Pool2d pool_of(const PoolInput& in) {
  return {in.images,
          in.height,
          in.width,
          in.channels,
          in.kernel,
          in.stride,
          in.padding,
          (in.height + 2 * in.padding - in.kernel) / in.stride + 1,
          (in.width + 2 * in.padding - in.kernel) / in.stride + 1};
}

inline int64_t pool_inputs(const Pool2d& p) { return p.images * p.height * p.width * p.channels; }
inline int64_t pool_outputs(const Pool2d& p) { return p.images * p.out_height * p.out_width * p.channels; }

inline std::string describe(const PoolInput& in) {
  return format("[{}, {}, {}, {}] kernel {} stride {} padding {}{}", in.images, in.height, in.width, in.channels,
                in.kernel, in.stride, in.padding, in.name);
}

// f(output element, input element, kh·K + kw) for every pixel of every window, in the window's order.
template <class F>
void for_windows(const Pool2d& p, F&& f) {
  for (int64_t n = 0; n < p.images; ++n)
    for (int oh = 0; oh < p.out_height; ++oh)
      for (int ow = 0; ow < p.out_width; ++ow)
        for (int c = 0; c < p.channels; ++c)
          for (int k = 0; k < p.kernel * p.kernel; ++k) {
            const int h = oh * p.stride - p.padding + k / p.kernel, w = ow * p.stride - p.padding + k % p.kernel;
            if (h >= 0 && h < p.height && w >= 0 && w < p.width)
              f(((n * p.out_height + oh) * p.out_width + ow) * p.channels + c,
                ((n * p.height + h) * p.width + w) * p.channels + c, k);
          }
}

inline DType index_dtype(const Pool2d& p) { return p.kernel <= 16 ? DType::u8 : DType::i32; }

template <class F>
void with_index(const Pool2d& p, void* index, F&& f) {
  if (p.kernel <= 16)
    f(static_cast<uint8_t*>(index));
  else
    f(static_cast<int32_t*>(index));
}

inline Case max_pool2d_forward_case(const PoolInput& in, DType t, bool index = true) {
  const Pool2d q = pool_of(in);
  const int64_t outputs = pool_outputs(q);
  Case c{"max_pool2d_forward", describe(in) + (index ? "" : " no index"), t};
  c.args = {{"x", Argument::in, t, pool_inputs(q), in.x},
            {"y", Argument::out, t, outputs, {}, 1, 1, true},
            {"index", Argument::out, index_dtype(q), index ? outputs : -1}};
  c.reference = [=](Values& v) {
    std::vector<bool> seen(outputs);
    for_windows(q, [&](int64_t o, int64_t i, int k) {
      if (seen[o] && !(v[0][i] > v[1][o]) && !std::isnan(v[0][i])) return;
      seen[o] = true;
      v[1][o] = v[0][i];
      if (index) v[2][o] = k;
    });
  };
  c.run = [=](Device d, const std::vector<void*>& p) {
    on(d, t, "max_pool2d", Floats{}, [&]<class T>(auto dev, T) {
      with_index(q, p[2], [&](auto* k) { max_pool2d_forward(dev, q, as<const T>(p[0]), as<T>(p[1]), k); });
    });
  };
  c.rungs.assign(max_pool2d_forward_rungs.names.begin(), max_pool2d_forward_rungs.names.end());
  c.bytes = double(pool_inputs(q) + outputs) * double(size_of(t)) + double(outputs) * double(size_of(index_dtype(q)));
  c.flops = double(outputs) * q.kernel * q.kernel;
  return c;
}

inline Case max_pool2d_backward_case(const PoolInput& in, DType t) {
  const Pool2d q = pool_of(in);
  const int64_t outputs = pool_outputs(q);
  Case c{"max_pool2d_backward", describe(in), t};
  c.args = {{"dy", Argument::in, t, outputs, uniform_values(2)},
            {"index", Argument::in, index_dtype(q), outputs, integer_values(3, 0, q.kernel * q.kernel)},
            {"dx", Argument::out, t, pool_inputs(q), {}, (q.kernel + q.stride - 1) / q.stride * q.kernel}};
  c.reference = [=](Values& v) {
    std::fill(v[2].begin(), v[2].end(), 0);
    for_windows(q, [&](int64_t o, int64_t i, int k) {
      if (int(v[1][o]) == k) v[2][i] += v[0][o];
    });
  };
  c.run = [=](Device d, const std::vector<void*>& p) {
    on(d, t, "max_pool2d", Floats{}, [&]<class T>(auto dev, T) {
      with_index(q, p[1], [&](const auto* k) { max_pool2d_backward(dev, q, as<const T>(p[0]), k, as<T>(p[2])); });
    });
  };
  c.rungs.assign(max_pool2d_backward_rungs.names.begin(), max_pool2d_backward_rungs.names.end());
  c.bytes = double(pool_inputs(q) + outputs) * double(size_of(t)) + double(outputs) * double(size_of(index_dtype(q)));
  c.flops = double(outputs) * q.kernel * q.kernel;
  return c;
}

inline Case avg_pool2d_forward_case(const PoolInput& in, DType t) {
  const Pool2d q = pool_of(in);
  Case c{"avg_pool2d_forward", describe(in), t};
  c.args = {{"x", Argument::in, t, pool_inputs(q), in.x},
            {"y", Argument::out, t, pool_outputs(q), {}, int64_t{q.kernel} * q.kernel}};
  c.reference = [=](Values& v) {
    std::fill(v[1].begin(), v[1].end(), 0);
    for_windows(q, [&](int64_t o, int64_t i, int) { v[1][o] += v[0][i] / (q.kernel * q.kernel); });
  };
  c.run = [=](Device d, const std::vector<void*>& p) {
    on(d, t, "avg_pool2d", Floats{},
       [&]<class T>(auto dev, T) { avg_pool2d_forward(dev, q, as<const T>(p[0]), as<T>(p[1])); });
  };
  c.rungs.assign(avg_pool2d_forward_rungs.names.begin(), avg_pool2d_forward_rungs.names.end());
  c.bytes = double(pool_inputs(q) + pool_outputs(q)) * double(size_of(t));
  c.flops = double(pool_outputs(q)) * q.kernel * q.kernel;
  return c;
}

inline Case avg_pool2d_backward_case(const PoolInput& in, DType t) {
  const Pool2d q = pool_of(in);
  Case c{"avg_pool2d_backward", describe(in), t};
  c.args = {{"dy", Argument::in, t, pool_outputs(q), uniform_values(2)},
            {"dx", Argument::out, t, pool_inputs(q), {}, int64_t{q.kernel} * q.kernel}};
  c.reference = [=](Values& v) {
    std::fill(v[1].begin(), v[1].end(), 0);
    for_windows(q, [&](int64_t o, int64_t i, int) { v[1][i] += v[0][o] / (q.kernel * q.kernel); });
  };
  c.run = [=](Device d, const std::vector<void*>& p) {
    on(d, t, "avg_pool2d", Floats{},
       [&]<class T>(auto dev, T) { avg_pool2d_backward(dev, q, as<const T>(p[0]), as<T>(p[1])); });
  };
  c.rungs.assign(avg_pool2d_backward_rungs.names.begin(), avg_pool2d_backward_rungs.names.end());
  c.bytes = double(pool_inputs(q) + pool_outputs(q)) * double(size_of(t));
  c.flops = double(pool_outputs(q)) * q.kernel * q.kernel;
  return c;
}

inline std::vector<Case> pool2d_cases(Scope scope) {
  std::vector<Case> cases;
  const auto add = [&](const PoolInput& in, DType t) {
    cases.push_back(max_pool2d_forward_case(in, t));
    cases.push_back(max_pool2d_backward_case(in, t));
    cases.push_back(avg_pool2d_forward_case(in, t));
    cases.push_back(avg_pool2d_backward_case(in, t));
  };
  if (scope == Scope::bench) {
    for (DType t : {DType::f32, DType::bf16}) {
      add({16, 112, 112, 64, 3, 2, 1}, t);  // ResNet-50's
      add({256, 32, 32, 32, 2, 2, 0}, t);   // a small network's
    }
    return cases;
  }
  if (scope == Scope::race) {
    add({1, 5, 5, 8, 3, 2, 1}, DType::f32);
    add({1, 5, 5, 3, 2, 1, 0}, DType::f32);
    return cases;
  }
  for (DType t : {DType::f32, DType::bf16, DType::f16, DType::f64}) {
    for (int channels : {1, 6, 16, 31, 32, 33, 64, 200}) add({2, 7, 6, channels, 3, 2, 1}, t);
    add({2, 8, 8, 16, 2, 2, 0}, t);
    add({1, 9, 9, 8, 2, 3, 0}, t);  // pixels between the windows
    add({1, 9, 7, 8, 3, 1, 1}, t);  // each pixel in nine windows
    add({1, 5, 8, 8, 5, 1, 2}, t);
    add({1, 1, 1, 8, 1, 1, 0}, t);
    add({1, 18, 20, 8, 17, 2, 8}, t);  // indices beyond a byte
    add({0, 4, 4, 8, 2, 2, 0}, t);
    add({1, 2, 3, 1025, 2, 2, 1}, t);
    cases.push_back(max_pool2d_forward_case({2, 7, 6, 16, 3, 2, 1}, t, false));
  }
  constexpr double kInf = std::numeric_limits<double>::infinity();
  const auto tie = [](int64_t i) { return double(i % 2); };  // the first of equal maxima
  const auto nan = [](int64_t i) { return i % 11 == 3 ? std::nan("") : uniform_values(1)(i); };
  for (DType t : {DType::f32, DType::bf16}) {
    cases.push_back(max_pool2d_forward_case({1, 7, 6, 8, 3, 2, 1, " ties", tie}, t));
    cases.push_back(max_pool2d_forward_case({1, 7, 6, 8, 3, 2, 1, " all -inf", constant_values(-kInf)}, t));
    cases.push_back(max_pool2d_forward_case({1, 7, 6, 8, 3, 2, 1, " some NaN", nan}, t));
    cases.push_back(max_pool2d_forward_case({1, 7, 6, 8, 3, 2, 1, " all NaN", constant_values(std::nan(""))}, t));
  }
  return cases;
}

inline std::vector<Gradient> pool2d_gradients() {
  Generator g(1);
  const Tensor x = normal({2, 5, 4, 3}, 0, 1, g, DType::f64);
  return {{"max_pool2d", [](const std::vector<Tensor>& in) { return max_pool2d(in[0], 3, 2, 1); }, {x}},
          {"avg_pool2d", [](const std::vector<Tensor>& in) { return avg_pool2d(in[0], 3, 2, 1); }, {x}}};
}

static const CaseFamily pool2d_family{"pool2d", pool2d_cases, pool2d_gradients};

}  // namespace holt::test
