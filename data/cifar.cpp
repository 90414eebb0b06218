#include "data/cifar.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <sstream>

#include "data/camera.h"
#include "kernels/file.h"

namespace holt::data {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kSide = 32, kPlane = kSide * kSide, kPixels = 3 * kPlane;

struct Layout {
  const char* folder;
  const char* names;
  std::vector<std::string> train;
  const char* test;
  int64_t label_bytes;  // the last one is the class
  size_t classes;
};
const std::vector<Layout>& layouts() {
  static const std::vector<Layout> both = {
      {"cifar-10-batches-bin",
       "batches.meta.txt",
       {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"},
       "test_batch.bin",
       1,
       10},
      {"cifar-100-binary", "fine_label_names.txt", {"train.bin"}, "test.bin", 2, 100},
  };
  return both;
}

std::vector<std::string> read_names(const std::string& path, size_t expected) {
  std::istringstream in(read_file(path));
  std::vector<std::string> names;
  for (std::string line; std::getline(in, line);) {
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
    if (!line.empty()) names.push_back(line);
  }
  check(names.size() == expected, "{}: expected {} names of classes, got {}", path, expected, names.size());
  return names;
}

// Positions of a class's samples from the share `first` of them to the share `last`, in quarters.
std::vector<int64_t> quarters(const Dataset& d, int64_t first, int64_t last) {
  std::vector<std::vector<int64_t>> of_class(d.classes.size());
  for (int64_t i = 0; i < d.size(); ++i) of_class[static_cast<size_t>(d.labels.data<int64_t>()[i])].push_back(i);
  std::vector<int64_t> positions;
  for (size_t k = 0; k < of_class.size(); ++k) {
    const int64_t n = std::ssize(of_class[k]);
    check(n >= 4, "cifar: the test file holds {} images of '{}', at least 4 are needed", n, d.classes[k]);
    positions.insert(positions.end(), of_class[k].begin() + n * first / 4, of_class[k].begin() + n * last / 4);
  }
  std::sort(positions.begin(), positions.end());
  return positions;
}

class Cifar : public Benchmark {
 public:
  explicit Cifar(const BenchmarkOptions& o) {
    check(o.image_size == 0 || o.image_size == kSide,
          "cifar: the images are {} × {}; they come in no other size, got {}", kSide, kSide, o.image_size);
    check(!o.folder.empty(), "cifar: give the folder with CIFAR-10's or CIFAR-100's binary version (--data-dir)");
    std::vector<fs::path> found;
    for (const Layout& l : layouts())
      for (const fs::path& p : {fs::path(o.folder), fs::path(o.folder) / l.folder}) {
        std::error_code ignored;
        if (!fs::exists(p / l.test, ignored)) continue;
        layout_ = &l;
        found.push_back(p);
      }
    check(!found.empty(), "cifar: {} holds neither test_batch.bin (CIFAR-10) nor test.bin (CIFAR-100)", o.folder);
    check(found.size() == 1, "cifar: both {} and {} hold a CIFAR; give one of them (--data-dir)",
          found.front().string(), found.back().string());
    folder_ = found.front();
    classes_ = read_names((folder_ / layout_->names).string(), layout_->classes);
  }

  const std::vector<std::string>& classes() const override { return classes_; }
  const std::vector<std::string>& domains() const override { return domains_; }
  std::string source() const override { return "photos"; }
  std::vector<std::string> targets(const std::string& source) const override {
    return {domains_[1 - domain_index(*this, "cifar", source)]};
  }
  /// Of CIFAR-10's training pixels; CIFAR-100's are within 0.03.
  Normalize normalize() const override { return {{0.4914f, 0.4822f, 0.4465f}, {0.2470f, 0.2435f, 0.2616f}}; }
  Shape image_shape() const override { return {kSide, kSide, 3}; }

  Dataset load(const std::string& domain, Part part, uint64_t seed) const override {
    const bool camera = domain_index(*this, "cifar", domain) == 1, train = part == Part::train;
    const std::string name = format("cifar: {} ({})", domain, train ? "train" : "test");
    if (!camera && train) return read(name, layout_->train);
    const Dataset all = read(name, {layout_->test});
    const std::vector<int64_t> positions = !camera ? quarters(all, 0, 2)
                                           : train ? quarters(all, 2, 3)
                                                   : quarters(all, 3, 4);
    Dataset d = select(all, positions);
    if (camera) d.images = photograph({}, all.images, positions, seed);
    return d;
  }

 private:
  Dataset read(const std::string& name, const std::vector<std::string>& files) const {
    const int64_t record = layout_->label_bytes + kPixels;
    int64_t count = 0;
    std::vector<std::unique_ptr<MappedFile>> all;
    for (const std::string& f : files) {
      all.push_back(std::make_unique<MappedFile>((folder_ / f).string()));
      const auto bytes = static_cast<int64_t>(all.back()->size());
      check(bytes > 0 && bytes % record == 0,
            "{}: {} bytes are no whole number of records of {}; the file is cut short", (folder_ / f).string(), bytes,
            record);
      count += bytes / record;
    }
    Dataset d{name, empty({count, kSide, kSide, 3}, DType::u8), empty({count}, DType::i64), classes_};
    auto* pixels = d.images.data<uint8_t>();
    int64_t* labels = d.labels.data<int64_t>();
    for (size_t f = 0; f < all.size(); ++f) {
      const auto* from = reinterpret_cast<const uint8_t*>(all[f]->data());
      const auto records = static_cast<int64_t>(all[f]->size()) / record;
      for (int64_t i = 0; i < records; ++i, from += record, pixels += kPixels) {
        const int64_t label = from[layout_->label_bytes - 1];
        check(label < std::ssize(classes_), "{}: label {} of image {} is outside 0 … {}", (folder_ / files[f]).string(),
              label, i, classes_.size() - 1);
        *labels++ = label;
        for (int64_t p = 0; p < kPlane; ++p)
          for (int64_t c = 0; c < 3; ++c) pixels[3 * p + c] = from[layout_->label_bytes + c * kPlane + p];
      }
    }
    return d;
  }

  const Layout* layout_ = nullptr;
  fs::path folder_;
  std::vector<std::string> classes_, domains_ = {"photos", "camera"};
};

}  // namespace

std::unique_ptr<Benchmark> open_cifar(const BenchmarkOptions& options) { return std::make_unique<Cifar>(options); }

}  // namespace holt::data
