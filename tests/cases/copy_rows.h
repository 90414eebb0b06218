// The truth about boxes of rows.
#pragma once
#include "core/ops.h"
#include "kernels/copy_rows.h"
#include "tests/harness/case.h"

namespace holt::test {

// Sizes in bytes. Source and destination have two rows' room more than they need; what is not copied must stay.
inline Case copy_rows_case(CopyRows p) {
  const auto extent = [&](int64_t outer, int64_t pitch) {
    return p.outer == 0 || p.rows == 0 ? 0 : (p.outer - 1) * outer + (p.rows - 1) * pitch + p.width;
  };
  Case c{"copy_rows",
         format("{}×{}×{} src {}, {} dst {}, {}", p.outer, p.rows, p.width, p.src_outer, p.src_pitch, p.dst_outer,
                p.dst_pitch),
         DType::u8};
  c.args = {
      {"src", Argument::in, DType::u8, extent(p.src_outer, p.src_pitch), integer_values(1, 0, 256)},
      {"dst", Argument::inout, DType::u8, extent(p.dst_outer, p.dst_pitch), integer_values(2, 0, 256), 1, 1, true}};
  c.reference = [=](Values& v) {
    for (int64_t o = 0; o < p.outer; ++o)
      for (int64_t r = 0; r < p.rows; ++r)
        for (int64_t b = 0; b < p.width; ++b)
          v[1][static_cast<size_t>(o * p.dst_outer + r * p.dst_pitch + b)] =
              v[0][static_cast<size_t>(o * p.src_outer + r * p.src_pitch + b)];
  };
  c.run = [=](Device d, const std::vector<void*>& args) {
    on(d, [&](auto dev) { copy_rows(dev, p, args[0], args[1]); });
  };
  c.rungs.assign(copy_rows_rungs.names.begin(), copy_rows_rungs.names.end());
  c.bytes = 2.0 * static_cast<double>(p.outer * p.rows * p.width);
  return c;
}

inline std::vector<Case> copy_rows_cases(Scope scope) {
  if (scope == Scope::bench)
    return {copy_rows_case({1, 64, 196 * 768 * 4, 0, 196 * 768 * 4, 0, 197 * 768 * 4}),             // ViT-B's patches
            copy_rows_case({64, 56, 56 * 256, 56 * 56 * 256, 56 * 256, 58 * 58 * 256, 58 * 256})};  // a padded image
  if (scope == Scope::race) return {copy_rows_case({2, 3, 32, 96, 32, 160, 48}), copy_rows_case({1, 2, 7, 0, 7, 0, 9})};
  std::vector<Case> cases{copy_rows_case({0, 3, 4, 12, 4, 12, 4}), copy_rows_case({3, 0, 4, 0, 4, 0, 4}),
                          copy_rows_case({2, 3, 0, 12, 4, 12, 4})};
  for (int64_t width : {1, 2, 4, 12, 16, 31, 48, 1025, 4112})
    for (int64_t gap : {0, 1, 4, 16}) {
      const int64_t pitch = width + gap;
      cases.push_back(copy_rows_case({1, 5, width, 0, pitch, 0, width}));
      cases.push_back(copy_rows_case({3, 2, width, 2 * width, width, 3 * pitch, pitch}));
    }
  return cases;
}

inline std::vector<Gradient> copy_rows_gradients() {
  Generator g(7);
  using In = const std::vector<Tensor>&;
  const Tensor a = normal({2, 3, 2}, 0, 1, g, DType::f64), b = normal({2, 1, 2}, 0, 1, g, DType::f64);
  return {
      {"concat",
       [](In in) {
         return square(concat({in[0], in[1], in[0]}, 1));
       },
       {a, b}},
      {"concat of rows",
       [](In in) {
         return square(concat({in[0], in[0]}));
       },
       {a}},
      {"slice", [](In in) { return square(slice(in[0], -2, 1, 3)); }, {a}},
      {"pad2d", [](In in) { return square(pad2d(in[0], 1, 0, 2, 1)); }, {normal({2, 3, 2, 2}, 0, 1, g, DType::f64)}}};
}

static const CaseFamily copy_rows_family{"copy_rows", copy_rows_cases, copy_rows_gradients};

}  // namespace holt::test
