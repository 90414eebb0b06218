// IDX, the file format of the MNIST family (yann.lecun.com/exdb/mnist): plain or gzip.
//
//   0 0 type rank | rank big-endian 32-bit sizes | the elements, last axis fastest.       type 8 = unsigned byte
//
// Everything is checked before memory is asked for: a header that promises more than its file can hold is an Error.
#pragma once
#include <string>

#include "data/dataset.h"

namespace holt::data {

/// The array as u8. Error unless it is of unsigned bytes, of rank 1 … 4, and exactly as long as its header says.
Tensor read_idx(const std::string& path);

/// Images [N, H, W] and labels [N], paired as a data set of [N, H, W, 1]. Error where the two files do not fit
/// together, are empty, or a label names no class.
Dataset read_idx_pair(const std::string& images_path, const std::string& labels_path, std::string name,
                      std::vector<std::string> classes);

}  // namespace holt::data
