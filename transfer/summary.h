// Many runs in few numbers: mean ± standard deviation, and a paired comparison of two methods.
#pragma once
#include <cstdint>
#include <vector>

namespace holt::transfer {

struct Summary {
  double mean = 0;
  double std = 0;  ///< of the sample, with n − 1; 0 for one value
  int64_t n = 0;
};

/// Two passes in double. No values: zeros with n = 0. Error: a value that is not finite.
Summary summarise(const std::vector<double>& values);

/// Two methods on the same targets and seeds. Pairing takes away what the targets differ in, which is more than what
/// the methods do.
struct Paired {
  Summary difference;                   ///< of mine − theirs
  int64_t won = 0, tied = 0, lost = 0;  ///< pairs in which mine is larger, equal, smaller
};

/// mine[i] and theirs[i] belong together. Values within 10⁻⁹ of each other tie: equal counts of right answers that were
/// averaged in another order. Errors: different numbers of values, a value that is not finite.
Paired paired_difference(const std::vector<double>& mine, const std::vector<double>& theirs);

}  // namespace holt::transfer
