// The truth about fill.
#pragma once
#include "kernels/fill.h"
#include "tests/harness/case.h"
#include "tests/harness/element.h"

namespace holt::test {

inline Case fill_case(int64_t n, double value, DType t) {
  Case c{"fill", format("[{}] with {}", n, value), t};
  c.args = {{.name = "out", .role = Argument::out, .dtype = t, .size = n, .exact = true}};
  c.reference = [=](Values& v) {
    alignas(8) unsigned char cell[8];
    store(t, cell, 0, value);
    std::fill(v[0].begin(), v[0].end(), load(t, cell, 0));
  };
  c.run = [=](Device d, const std::vector<void*>& p) {
    on(d, t, "fill", Numbers{}, [&]<class T>(auto dev, T) {
      T x;
      store<T>(&x, 0, value);
      fill(dev, n, x, as<T>(p[0]));
    });
  };
  c.rungs.assign(fill_rungs.names.begin(), fill_rungs.names.end());
  c.bytes = static_cast<double>(n) * static_cast<double>(size_of(t));
  return c;
}

inline std::vector<Case> fill_cases(Scope scope) {
  std::vector<Case> cases;
  if (scope == Scope::bench) return {fill_case(int64_t{1} << 26, 0, DType::f32)};
  for (DType t : {DType::f32, DType::bf16, DType::f16, DType::f64, DType::i64, DType::i32, DType::u8})
    for (int64_t n :
         scope == Scope::race ? std::vector<int64_t>{70} : std::vector<int64_t>{0, 1, 7, 31, 32, 33, 1025, 4099})
      cases.push_back(fill_case(n, is_float(t) ? -2.71828 : 201, t));
  return cases;
}

static const CaseFamily fill_family{"fill", fill_cases};

}  // namespace holt::test
