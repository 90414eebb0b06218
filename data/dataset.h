// A labelled image data set held in memory, on the host.
#pragma once
#include <string>
#include <vector>

#include "core/tensor.h"

namespace holt::data {

struct Dataset {
  std::string name;
  Tensor images;                     ///< [N, H, W, C] on cpu: u8 (0 … 255) or f32
  Tensor labels;                     ///< i64 [N] on cpu, each in 0 … classes.size() − 1
  std::vector<std::string> classes;  ///< name of each class

  int64_t size() const { return labels.numel(); }
  int64_t num_classes() const { return static_cast<int64_t>(classes.size()); }
};

/// Error unless shapes, dtypes and devices are as above, the two lengths agree and every label names a class.
void validate(const Dataset&);

/// The first `count` samples (all if there are fewer), sharing the memory.
Dataset first(const Dataset&, int64_t count);

}  // namespace holt::data
