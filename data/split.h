// The split of a domain that comes without one.
#pragma once
#include "data/benchmark.h"

namespace holt::data {

/// The positions of one part's samples, ascending: of each class 70 % train and the rest tests, drawn by the seed; at
/// least one each, and a single sample trains. A class's draw depends on the seed, `name` (the domain's), its own name
/// and its number of samples: what else there is changes nothing.
std::vector<int64_t> split_positions(const std::vector<int64_t>& labels, const std::vector<std::string>& classes,
                                     const std::string& name, Part part, uint64_t seed);

}  // namespace holt::data
