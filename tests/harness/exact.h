// Results held to those of the definition in double, by the tolerance of the case suites.
#pragma once
#include <cmath>
#include <vector>

#include "tests/harness/case.h"
#include "tests/harness/worst.h"

namespace holt::test {

template <class T>
std::vector<double> exact(const std::vector<T>& v) {
  std::vector<double> to;
  for (const T& x : v) to.push_back(double(float(x)));
  return to;
}

// The largest error in units of what harness/case.h allows.
template <class T>
double error(const std::vector<T>& got, const std::vector<double>& want, int64_t terms) {
  double squares = 0, worst = 0;
  for (double w : want) squares += w * w;
  const double rms = std::sqrt(squares / static_cast<double>(want.size()));
  const double relative =
      tolerance({.name = {}, .role = Argument::out, .dtype = dtype_of<T>, .size = 0, .terms = terms});
  for (size_t i = 0; i < want.size(); ++i)
    raise(worst, std::abs(double(float(got[i])) - want[i]) / (relative * std::max(std::abs(want[i]), rms)));
  return worst;
}

}  // namespace holt::test
