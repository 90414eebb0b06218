#include "data/fashion.h"

#include <filesystem>

#include "data/idx.h"

namespace holt::data {
namespace {

std::string find(const std::string& folder, const std::string& name) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  for (const char* ending : {".gz", ""})
    if (const fs::path path = fs::path(folder) / (name + ending); fs::exists(path, ignored)) return path.string();
  fail(
      "fashion: neither {}/{}.gz nor {} is there; install Fashion-MNIST with 'apt-get install dataset-fashion-mnist' "
      "(it goes to {}), or give the folder that holds it",
      folder, name, name, kFashionFolder);
}

}  // namespace

const std::vector<std::string>& fashion_classes() {
  static const std::vector<std::string> names = {"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
                                                 "Sandal",      "Shirt",   "Sneaker",  "Bag",   "Ankle boot"};
  return names;
}

Dataset fashion(Split split, const std::string& folder) {
  const std::string part = split == Split::train ? "train" : "t10k";
  return read_idx_pair(find(folder, part + "-images-idx3-ubyte"), find(folder, part + "-labels-idx1-ubyte"),
                       split == Split::train ? "fashion (train)" : "fashion (test)", fashion_classes());
}

}  // namespace holt::data
