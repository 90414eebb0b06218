// Numbers that the papers print, to stand beside ours where the data set is theirs.
//
// They are no yardstick to the decimal: other networks (ResNet-50 from ImageNet weights, CLIP), and for most data sets
// other draws of the seen classes.
#pragma once
#include <optional>
#include <string>
#include <vector>

namespace holt::transfer {

struct Published {
  std::string what;  ///< "Office-Home, Ar → Cl"
  double overall;    ///< fraction 0 … 1
  std::optional<double> seen = {}, unseen = {};
  std::string network;  ///< "ResNet-50"
};

/// Those for this benchmark (data/benchmark.h) with these domains. A folder is taken for Office-Home by 65 classes and
/// domains that begin with Ar, Cl, Pr, Rw or Re; for Caltech101 by the target's name. Empty for all others.
std::vector<Published> published_for(const std::string& data, const std::vector<std::string>& sources,
                                     const std::vector<std::string>& targets, size_t classes);

/// "Tu et al. 2023 (arXiv 2311.01420); another network, and another draw of the seen classes": stands with them.
std::string published_remark();

}  // namespace holt::transfer
