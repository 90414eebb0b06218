// The largest of many errors, in which a NaN shows.
#pragma once
#include <cmath>

namespace holt::test {

/// worst = max(worst, error); a NaN stays, whatever follows, and fails every comparison.
inline void raise(double& worst, double error) {
  if (!std::isnan(worst) && !(error <= worst)) worst = error;
}

}  // namespace holt::test
