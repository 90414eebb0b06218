// The truth about convolution and its two gradients, from the definition.
#pragma once
#include "core/ops.h"
#include "kernels/conv2d.h"
#include "tests/harness/case.h"

namespace holt::test {

// f(position in y, in x, in w) for every product of the definition.
template <class F>
void for_each_product(const Conv2d& p, F&& f) {
  const int64_t OH = p.out_h(), OW = p.out_w();
  for (int64_t n = 0; n < p.n; ++n)
    for (int64_t i = 0; i < OH; ++i)
      for (int64_t j = 0; j < OW; ++j)
        for (int64_t u = 0; u < p.kh; ++u)
          for (int64_t v = 0; v < p.kw; ++v) {
            const int64_t a = i * p.stride_h + u * p.dilation_h - p.pad_h,
                          b = j * p.stride_w + v * p.dilation_w - p.pad_w;
            if (a < 0 || a >= p.h || b < 0 || b >= p.w) continue;
            for (int64_t g = 0; g < p.groups; ++g)
              for (int64_t o = g * (p.cout / p.groups); o < (g + 1) * (p.cout / p.groups); ++o)
                for (int64_t c = 0; c < p.cin / p.groups; ++c)
                  f(((n * OH + i) * OW + j) * p.cout + o,
                    ((n * p.h + a) * p.w + b) * p.cin + g * (p.cin / p.groups) + c,
                    ((o * p.kh + u) * p.kw + v) * (p.cin / p.groups) + c);
          }
}

inline std::string describe(const Conv2d& p) {
  const bool dilated = p.dilation_h != 1 || p.dilation_w != 1;
  return format("[{}, {}, {}, {}]->{} {}x{} stride {}x{} pad {}x{}{}{}{}", p.n, p.h, p.w, p.cin, p.cout, p.kh, p.kw,
                p.stride_h, p.stride_w, p.pad_h, p.pad_w,
                dilated ? format(" dilation {}x{}", p.dilation_h, p.dilation_w) : "",
                p.groups == 1 ? "" : format(" groups {}", p.groups), p.relu ? " relu" : "");
}

inline void finish(Case& c, const Conv2d& p) {
  c.bytes = static_cast<double>(p.x_size() + p.w_size() + p.y_size()) * size_of(c.dtype);
  c.flops = p.flops();
}

inline Case conv2d_forward_case(const Conv2d& p, DType t, bool bias) {
  Case c{"conv2d_forward", describe(p) + (bias ? " bias" : ""), t};
  c.args = {{"x", Argument::in, t, p.x_size(), uniform_values(1)},
            {"w", Argument::in, t, p.w_size(), uniform_values(2)},
            {"bias", Argument::in, t, bias ? p.cout : -1, uniform_values(3)},
            {"y", Argument::out, t, p.y_size(), {}, p.kh * p.kw * p.group_in() + 1}};
  c.reference = [=](Values& v) {
    for (size_t i = 0; i < v[3].size(); ++i) v[3][i] = bias ? v[2][i % p.cout] : 0;
    for_each_product(p, [&](int64_t y, int64_t x, int64_t w) { v[3][y] += v[0][x] * v[1][w]; });
    if (p.relu)
      for (double& y : v[3]) y = y > 0 ? y : 0;
  };
  c.run = [=](Device d, const std::vector<void*>& v) {
    on(d, t, "conv2d", Floats{}, [&]<class T>(auto dev, T) {
      conv2d_forward(dev, p, as<const T>(v[0]), as<const T>(v[1]), as<const T>(v[2]), as<T>(v[3]));
    });
  };
  c.rungs.assign(conv2d_forward_rungs.names.begin(), conv2d_forward_rungs.names.end());
  c.vendor = true;
  finish(c, p);
  return c;
}

inline Case conv2d_backward_data_case(const Conv2d& p, DType t) {
  Case c{"conv2d_backward_data", describe(p), t};
  c.args = {{"dy", Argument::in, t, p.y_size(), uniform_values(4)},
            {"w", Argument::in, t, p.w_size(), uniform_values(5)},
            {"dx", Argument::out, t, p.x_size(), {}, p.kh * p.kw * p.group_out()}};
  c.reference = [=](Values& v) {
    std::fill(v[2].begin(), v[2].end(), 0);
    for_each_product(p, [&](int64_t y, int64_t x, int64_t w) { v[2][x] += v[0][y] * v[1][w]; });
  };
  c.run = [=](Device d, const std::vector<void*>& v) {
    on(d, t, "conv2d", Floats{},
       [&]<class T>(auto dev, T) { conv2d_backward_data(dev, p, as<const T>(v[0]), as<const T>(v[1]), as<T>(v[2])); });
  };
  c.rungs.assign(conv2d_backward_data_rungs.names.begin(), conv2d_backward_data_rungs.names.end());
  c.vendor = true;
  finish(c, p);
  return c;
}

inline Case conv2d_backward_weights_case(const Conv2d& p, DType t) {
  Case c{"conv2d_backward_weights", describe(p), t};
  c.args = {{"dy", Argument::in, t, p.y_size(), uniform_values(6)},
            {"x", Argument::in, t, p.x_size(), uniform_values(7)},
            {"dw", Argument::out, t, p.w_size(), {}, std::max<int64_t>(1, p.n * p.out_h() * p.out_w())}};
  c.reference = [=](Values& v) {
    std::fill(v[2].begin(), v[2].end(), 0);
    for_each_product(p, [&](int64_t y, int64_t x, int64_t w) { v[2][w] += v[0][y] * v[1][x]; });
  };
  c.run = [=](Device d, const std::vector<void*>& v) {
    on(d, t, "conv2d", Floats{}, [&]<class T>(auto dev, T) {
      conv2d_backward_weights(dev, p, as<const T>(v[0]), as<const T>(v[1]), as<T>(v[2]));
    });
  };
  c.rungs.assign(conv2d_backward_weights_rungs.names.begin(), conv2d_backward_weights_rungs.names.end());
  c.vendor = true;
  finish(c, p);
  return c;
}

// A square convolution of square images.
inline Conv2d square_conv(int64_t n, int64_t size, int64_t cin, int64_t cout, int64_t k, int64_t stride, int64_t pad) {
  return {n, size, size, cin, cout, k, k, stride, stride, pad, pad};
}

// The same, in groups, dilated.
inline Conv2d grouped(Conv2d p, int64_t groups, int64_t dilation = 1) {
  p.groups = groups;
  p.dilation_h = p.dilation_w = dilation;
  return p;
}

inline std::vector<Case> conv2d_cases(Scope scope) {
  std::vector<Case> cases;
  const auto all_three = [&](const Conv2d& p, DType t, bool bias = false) {
    cases.push_back(conv2d_forward_case(p, t, bias));
    if (p.relu) return;
    cases.push_back(conv2d_backward_data_case(p, t));
    cases.push_back(conv2d_backward_weights_case(p, t));
  };
  if (scope == Scope::bench) {
    for (DType t : {DType::f32, DType::bf16}) {
      for (const Conv2d& p : {square_conv(16, 56, 64, 64, 3, 1, 1), square_conv(16, 28, 128, 128, 3, 1, 1),
                              square_conv(16, 14, 256, 256, 3, 1, 1), square_conv(16, 7, 512, 512, 3, 1, 1),
                              square_conv(16, 56, 256, 64, 1, 1, 0), square_conv(16, 56, 64, 256, 1, 1, 0),
                              square_conv(16, 56, 128, 128, 3, 2, 1), square_conv(16, 56, 256, 512, 1, 2, 0),
                              square_conv(16, 224, 3, 64, 7, 2, 3)})  // ResNet-50, batch 16
        all_three(p, t);
      for (const Conv2d& p : {square_conv(128, 28, 1, 16, 3, 1, 1), square_conv(128, 28, 16, 16, 3, 1, 1),
                              square_conv(128, 28, 16, 32, 3, 2, 1), square_conv(128, 28, 16, 32, 1, 2, 0),
                              square_conv(128, 14, 32, 32, 3, 1, 1), square_conv(128, 14, 32, 64, 3, 2, 1),
                              square_conv(128, 7, 64, 64, 3, 1, 1)})  // resnet8 on Fashion-MNIST, batch 128
        all_three(p, t);
      for (const Conv2d& p : {grouped(square_conv(16, 56, 128, 128, 3, 1, 1), 32),    // ResNeXt-50 32×4d
                              grouped(square_conv(16, 56, 144, 144, 3, 1, 1), 144)})  // MobileNetV2's depthwise
        all_three(p, t);
    }
    return cases;
  }
  if (scope == Scope::race) {
    for (DType t : {DType::f32, DType::bf16}) {
      all_three(square_conv(1, 5, 3, 4, 3, 2, 1), t);
      all_three(square_conv(1, 5, 8, 8, 3, 1, 1), t);
      all_three(grouped(square_conv(1, 5, 4, 4, 3, 1, 1), 4), t);
      all_three(grouped(square_conv(1, 5, 16, 16, 3, 1, 1), 2), t);
    }
    return cases;
  }
  for (DType t : {DType::f32, DType::bf16, DType::f16, DType::f64}) {
    all_three(square_conv(0, 6, 3, 4, 3, 1, 1), t);  // nothing to do, but for a weight gradient of zeros
    all_three(square_conv(2, 6, 0, 4, 3, 1, 1), t, true);
    all_three(square_conv(2, 6, 3, 0, 3, 1, 1), t);
    all_three(square_conv(1, 1, 1, 1, 1, 1, 0), t, true);
    all_three(square_conv(2, 7, 1, 16, 3, 1, 1), t);        // a first layer on grey images
    all_three(square_conv(1, 33, 3, 8, 7, 2, 3), t, true);  // ResNet's stem, small
    all_three(square_conv(2, 9, 16, 32, 3, 2, 1), t);       // resnet8's downsampling, and its shortcut
    all_three(square_conv(2, 8, 16, 32, 1, 2, 0), t);
    all_three(square_conv(2, 14, 32, 33, 3, 1, 1), t, true);
    all_three(square_conv(1, 7, 64, 64, 3, 1, 1), t);
    all_three(square_conv(1, 9, 128, 136, 1, 1, 0), t);
    all_three(square_conv(1, 3, 5, 7, 3, 1, 4), t);          // windows that see nothing but padding
    all_three(square_conv(2, 10, 6, 5, 3, 3, 0), t);         // rows and columns that no window reaches
    all_three({2, 5, 11, 8, 8, 2, 3, 1, 2, 0, 1}, t, true);  // axes that differ in everything
    all_three({1, 1, 65, 8, 16, 1, 5, 1, 1, 0, 2}, t);
    all_three(grouped(square_conv(2, 7, 12, 12, 3, 1, 1), 12), t, true);     // depthwise
    all_three(grouped(square_conv(2, 9, 33, 66, 3, 2, 1), 33), t);           // two outputs a channel, strided
    all_three(grouped(square_conv(1, 12, 16, 16, 3, 1, 4), 16, 4), t);       // depthwise, dilated
    all_three(grouped(square_conv(2, 7, 32, 48, 3, 1, 1), 2), t, true);      // 16 and 24 channels a group: vectors
    all_three(grouped(square_conv(2, 7, 18, 30, 3, 1, 1), 3), t, true);      // 6 and 10: none
    all_three(grouped(square_conv(1, 6, 144, 216, 1, 1, 0), 2), t);          // more than a tile a group
    all_three(grouped(square_conv(2, 11, 24, 16, 3, 2, 2), 8, 2), t, true);  // all at once
    all_three(grouped(square_conv(2, 11, 8, 8, 3, 1, 2), 1, 2), t);          // dilated only
    Conv2d oblong = {2, 9, 14, 8, 16, 2, 3, 2, 1, 1, 3};                     // axes that differ in everything
    oblong.dilation_h = 2, oblong.dilation_w = 3, oblong.groups = 4;
    all_three(oblong, t, true);
    all_three(grouped(square_conv(0, 6, 4, 4, 3, 1, 1), 4), t);
    all_three(grouped(square_conv(2, 6, 0, 4, 3, 1, 1), 4), t, true);
    Conv2d relu = square_conv(2, 6, 8, 24, 3, 1, 1);
    relu.relu = true;
    all_three(relu, t);
    all_three(relu, t, true);
    all_three(grouped(relu, 4), t, true);
  }
  all_three(square_conv(2, 14, 64, 64, 3, 1, 1), DType::f32);  // ResNet's, as far as the emulator is patient
  all_three(square_conv(2, 14, 64, 64, 3, 1, 1), DType::bf16);
  for (DType t : {DType::f32, DType::bf16}) {  // channels in sixteens: the cpu's own sums of weight gradients
    all_three(square_conv(3, 13, 16, 16, 5, 1, 2), t);
    all_three(square_conv(2, 21, 32, 48, 3, 2, 1), t);
    all_three(square_conv(1, 5, 16, 32, 3, 1, 3), t);
    all_three(square_conv(2, 9, 16, 16, 1, 2, 0), t);
    all_three({2, 6, 9, 48, 32, 3, 2, 2, 1, 1, 2}, t);
    all_three({2, 9, 11, 16, 32, 3, 2, 1, 2, 2, 1, 2, 3}, t);
  }
  return cases;
}

inline std::vector<Gradient> conv2d_gradients() {
  Generator g(2);
  const auto random = [&](Shape s) { return normal(s, 0, 1, g, DType::f64); };
  std::vector<Gradient> all;
  for (auto [stride, padding] : {std::pair<int, int>{1, 0}, {1, 1}, {2, 1}, {3, 2}})
    all.push_back({format("conv2d stride {} padding {}", stride, padding),
                   [=](const std::vector<Tensor>& in) {
                     return conv2d(in[0], in[1], in[2], {stride, padding});
                   },
                   {random({2, 5, 6, 3}), random({4, 3, 2, 3}), random({4})}});
  const Conv2dOptions options[] = {{.groups = 2}, {2, 1, 1, 4}, {.dilation = 2}, {2, 2, 2, 2}};
  for (const Conv2dOptions& o : options)
    all.push_back(
        {format("conv2d stride {} padding {} dilation {} groups {}", o.stride, o.padding, o.dilation, o.groups),
         [=](const std::vector<Tensor>& in) { return conv2d(in[0], in[1], in[2], o); },
         {random({2, 5, 6, 4}), random({4, 3, 2, 4 / o.groups}), random({4})}});
  all.push_back({"conv2d without bias",
                 [](const std::vector<Tensor>& in) { return conv2d(in[0], in[1]); },
                 {random({1, 3, 3, 2}), random({2, 3, 3, 2})}});
  return all;
}

static const CaseFamily conv2d_family{"conv2d", conv2d_cases, conv2d_gradients};

}  // namespace holt::test
