// The truth about cast: conversions written from IEEE 754 and the contract's rules, in double.
#pragma once
#include <limits>

#include "core/ops.h"
#include "kernels/cast.h"
#include "tests/harness/case.h"

namespace holt::test {

/// The nearest value with `digits` significant bits and exponents in [min_exponent, max_exponent], ties to even.
inline double nearest_float(double x, int digits, int min_exponent, int max_exponent) {
  if (x == 0 || !std::isfinite(x)) return x;
  const double quantum = std::ldexp(1.0, std::max(std::ilogb(x), min_exponent) - (digits - 1));
  const double r = std::nearbyint(x / quantum) * quantum;
  return std::abs(r) < std::ldexp(1.0, max_exponent + 1) ? r
                                                         : std::copysign(std::numeric_limits<double>::infinity(), x);
}

template <class T>
double nearest_integer_inside(double x) {
  if (std::isnan(x)) return 0;
  // double has no value between the largest int64 and 2^63, and the largest int64 reads as 2^63.
  const double low = static_cast<double>(std::numeric_limits<T>::min());
  const double high = static_cast<double>(std::numeric_limits<T>::max());
  return std::trunc(std::min(std::max(x, low), high));
}

inline double cast_reference(DType to, double x) {
  switch (to) {
    case DType::f64:
      return x;
    case DType::f32:
      return nearest_float(x, 24, -126, 127);
    case DType::bf16:  // by way of f32
      return nearest_float(nearest_float(x, 24, -126, 127), 8, -126, 127);
    case DType::f16:
      return nearest_float(nearest_float(x, 24, -126, 127), 11, -14, 15);
    case DType::i64:
      return nearest_integer_inside<int64_t>(x);
    case DType::i32:
      return nearest_integer_inside<int32_t>(x);
    case DType::u8:
      return nearest_integer_inside<uint8_t>(x);
  }
  return std::numeric_limits<double>::quiet_NaN();
}

// Values that matter, then values of every magnitude. Integers get what an int64 can be given through a double.
inline Init cast_values(DType from) {
  static const double inf = std::numeric_limits<double>::infinity(), nan = std::numeric_limits<double>::quiet_NaN();
  static const std::vector<double> floats = {0,
                                             -0.0,
                                             1,
                                             -1,
                                             0.5,
                                             -0.5,
                                             0.99,
                                             254.99,
                                             255,
                                             255.5,
                                             256,
                                             300,
                                             -300,
                                             65504,
                                             65519,
                                             65520,
                                             -65536,
                                             0x1p31,
                                             -0x1p31,
                                             0x1p32,
                                             0x1p62,
                                             0x1p63,
                                             -0x1p63,
                                             0x1p64,
                                             1e30,
                                             -1e30,
                                             inf,
                                             -inf,
                                             nan,
                                             0x1p-14,
                                             0x1p-24,
                                             0x1p-25,
                                             0x1.8p-25,
                                             0x1p-126,
                                             0x1p-133,
                                             0x1p-149,
                                             3.14159265358979,
                                             1 + 0x1p-8,
                                             1 + 0x3p-8,
                                             1 + 0x1p-11,
                                             1 + 0x3p-11,
                                             1 + 0x1p-24};
  static const std::vector<double> integers = {
      0,    1,    2,      127,        128,    255,     256,        257,         -1,         -255,   65519,  65520,
      2049, 2051, 0x1p24, 0x1p24 + 1, 0x1p31, -0x1p31, 0x1p40 + 3, -0x1p52 - 1, 0x1p53 - 1, 0x1p62, -0x1p63};
  return [=](int64_t i) {
    const auto& list = is_float(from) ? floats : integers;
    if (i < static_cast<int64_t>(list.size())) {
      const double x = list[static_cast<size_t>(i)];
      return is_float(from) ? x : cast_reference(from, x);
    }
    const Philox4 r = philox(17, static_cast<uint64_t>(from), static_cast<uint64_t>(i));
    const double x = std::ldexp(2.0 * uniform01(r.v[0]) - 1, static_cast<int>(r.v[1] % 60) - 20);
    return is_float(from) ? x : cast_reference(from, x);
  };
}

inline Case cast_case(DType from, DType to, int64_t n) {
  // Cases with f64 on either side run on cpu only.
  Case c{"cast", format("[{}] {} to {}", n, from, to), to == DType::f64 ? to : from};
  c.args = {{"x", Argument::in, from, n, cast_values(from)},
            {.name = "y", .role = Argument::out, .dtype = to, .size = n, .exact = true}};
  c.reference = [=](Values& v) {
    for (size_t i = 0; i < v[0].size(); ++i) v[1][i] = cast_reference(to, v[0][i]);
  };
  c.run = [=](Device d, const std::vector<void*>& p) {
    on(d, from, "cast", Numbers{}, [&]<class B, class From>(B dev, From) {
      on(d, to, "cast", Numbers{}, [&]<class C, class To>(C, To) {
        if constexpr (std::is_same_v<B, C> && !std::is_same_v<From, To>)
          cast_any(dev, n, as<const From>(p[0]), as<To>(p[1]));
      });
    });
  };
  c.rungs.assign(cast_rungs.names.begin(), cast_rungs.names.end());
  c.bytes = static_cast<double>(n) * static_cast<double>(size_of(from) + size_of(to));
  return c;
}

inline std::vector<Case> cast_cases(Scope scope) {
  std::vector<Case> cases;
  if (scope == Scope::bench) {
    for (auto [from, to] : {std::pair{DType::f32, DType::bf16},
                            {DType::bf16, DType::f32},
                            {DType::f32, DType::f16},
                            {DType::u8, DType::f32}})
      cases.push_back(cast_case(from, to, int64_t{1} << 25));
    return cases;
  }
  if (scope == Scope::race) return {cast_case(DType::f32, DType::bf16, 70), cast_case(DType::u8, DType::f32, 70)};
  for (DType from : {DType::f32, DType::bf16, DType::f16, DType::f64, DType::i64, DType::i32, DType::u8})
    for (DType to : {DType::f32, DType::bf16, DType::f16, DType::f64, DType::i64, DType::i32, DType::u8})
      if (from != to)
        for (int64_t n : {0, 1, 33, 1025}) cases.push_back(cast_case(from, to, n));
  cases.push_back(cast_case(DType::f32, DType::bf16, 3 * (1 << 16) + 5));  // more than one thread's share
  return cases;
}

inline std::vector<Gradient> cast_gradients() {
  Generator g(2);
  return {{"clone", [](const std::vector<Tensor>& in) { return in[0].clone(); }, {normal({3, 5}, 0, 1, g, DType::f64)}},
          {"to f64",
           [](const std::vector<Tensor>& in) { return in[0].to(DType::f64).to(Device::cpu); },
           {normal({3, 5}, 0, 1, g, DType::f64)}}};
}

static const CaseFamily cast_family{"cast", cast_cases, cast_gradients};

}  // namespace holt::test
