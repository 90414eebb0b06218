// LEAF's JSON files of images (leaf.cmu.edu), streamed: a file of gigabytes of text leaves 784 bytes an image.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace holt::data {

inline constexpr int64_t kLeafPixels = 784;

struct LeafUser {
  std::vector<uint8_t> pixels;  ///< 784 an image: the file's numbers in 0 … 1 (k / 255), times 255
  std::vector<int64_t> labels;
};

/// Adds the users of one file. Errors name the file, the user and the place: no JSON, another structure, an image that
/// is not 784 numbers in 0 … 1, a label outside 0 … classes − 1, more labels than images or fewer, a user that is there
/// already.
void read_leaf(const std::string& path, int64_t classes, std::map<std::string, LeafUser>& users);

}  // namespace holt::data
