#include "data/femnist.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <set>

#include "data/leaf.h"
#include "data/split.h"

namespace holt::data {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kFemnistSide = 28;
constexpr size_t kMostTargets = 10;
constexpr const char* kWriters = "writers";
// Of the inverted pixels, rounded: ink is rare.
constexpr float kMean = 0.04f, kStd = 0.16f;

using Users = std::map<std::string, LeafUser>;

std::vector<std::string> femnist_classes() {
  std::vector<std::string> names;
  for (const auto& [first, last] : {std::pair{'0', '9'}, {'A', 'Z'}, {'a', 'z'}})
    for (char c = first; c <= last; ++c) names.emplace_back(1, c);
  return names;
}

Users read_folder(const fs::path& folder, int64_t classes) {
  std::vector<std::string> files;
  std::error_code error;
  for (auto it = fs::directory_iterator(folder, error); !error && it != fs::directory_iterator(); it.increment(error))
    if (it->path().extension() == ".json") files.push_back(it->path().string());
  check(!error, "femnist: cannot read {}: {}", folder.string(), error.message());
  check(!files.empty(), "femnist: {} holds no .json file; LEAF's preprocessing makes all_data_*.json", folder.string());
  std::sort(files.begin(), files.end());
  Users users;
  for (const std::string& f : files) read_leaf(f, classes, users);
  return users;
}

class Femnist : public Benchmark {
 public:
  explicit Femnist(const BenchmarkOptions& o) : classes_(femnist_classes()) {
    check(o.image_size == 0 || o.image_size == kFemnistSide,
          "femnist: the images are {} × {}; they come in no other size, got {}", kFemnistSide, kFemnistSide,
          o.image_size);
    check(!o.folder.empty(), "femnist: give the folder with LEAF's JSON files (--data-dir)");
    const fs::path folder = o.folder;
    std::error_code ignored;
    split_ = fs::is_directory(folder / "train", ignored) && fs::is_directory(folder / "test", ignored);
    train_ = read_folder(split_ ? folder / "train" : folder, std::ssize(classes_));
    if (split_) test_ = read_folder(folder / "test", std::ssize(classes_));
    choose(o.folder);
  }

  const std::vector<std::string>& classes() const override { return classes_; }
  const std::vector<std::string>& domains() const override { return domains_; }
  std::string source() const override { return kWriters; }
  std::vector<std::string> targets(const std::string& source) const override {
    domain_index(*this, "femnist", source);
    std::vector<std::string> others(domains_.begin() + 1, domains_.end());
    std::erase(others, source);
    return others;
  }
  Normalize normalize() const override { return {{kMean}, {kStd}}; }
  Shape image_shape() const override { return {kFemnistSide, kFemnistSide, 1}; }

  Dataset load(const std::string& domain, Part part, uint64_t seed) const override {
    const std::vector<Piece> all = pieces(domain, part, seed);
    int64_t count = 0;
    for (const Piece& p : all) count += std::ssize(p.positions);
    check(count > 0, "femnist: {} has no images to {}", domain, part == Part::train ? "train" : "test");
    Dataset d{format("femnist: {} ({})", domain, part == Part::train ? "train" : "test"),
              empty({count, kFemnistSide, kFemnistSide, 1}, DType::u8), empty({count}, DType::i64), classes_};
    auto* pixels = d.images.data<uint8_t>();
    int64_t* labels = d.labels.data<int64_t>();
    for (const Piece& p : all)
      for (const int64_t i : p.positions) {
        const uint8_t* from = p.user->pixels.data() + i * kLeafPixels;
        for (int64_t k = 0; k < kLeafPixels; ++k) pixels[k] = static_cast<uint8_t>(255 - from[k]);
        pixels += kLeafPixels;
        *labels++ = p.user->labels[static_cast<size_t>(i)];
      }
    return d;
  }
  std::vector<int64_t> labels(const std::string& domain, Part part, uint64_t seed) const override {
    std::vector<int64_t> all;
    for (const Piece& p : pieces(domain, part, seed))
      for (const int64_t i : p.positions) all.push_back(p.user->labels[static_cast<size_t>(i)]);
    return all;
  }

 private:
  // Some images of one writer.
  struct Piece {
    const LeafUser* user;
    std::vector<int64_t> positions;
  };

  void choose(const std::string& folder) {
    struct Writer {
      std::string name;
      size_t classes, images;
    };
    std::map<std::string, std::vector<int64_t>> labels;
    for (const Users* part : {&train_, &test_})
      for (const auto& [name, user] : *part)
        labels[name].insert(labels[name].end(), user.labels.begin(), user.labels.end());
    check(labels.size() >= 2, "femnist: {} holds the images of {} writer, at least 2 are needed", folder,
          labels.size());
    std::vector<Writer> writers;
    for (const auto& [name, of_writer] : labels) {
      check(name != kWriters, "femnist: a writer is called '{}', as the source domain is", name);
      writers.push_back({name, std::set<int64_t>(of_writer.begin(), of_writer.end()).size(), of_writer.size()});
    }
    std::stable_sort(writers.begin(), writers.end(), [](const Writer& a, const Writer& b) {  // from the order of names
      return std::tie(b.classes, b.images) < std::tie(a.classes, a.images);
    });
    writers.resize(std::min(kMostTargets, writers.size() - 1));
    domains_ = {kWriters};
    for (const Writer& w : writers) domains_.push_back(w.name);
  }

  std::vector<Piece> pieces(const std::string& domain, Part part, uint64_t seed) const {
    domain_index(*this, "femnist", domain);
    std::vector<Piece> all;
    for (const auto& [name, user] : split_&& part == Part::test ? test_ : train_) {
      const bool target = std::find(domains_.begin(), domains_.end(), name) != domains_.end();
      if (domain == kWriters ? target : name != domain) continue;
      Piece p{&user, {}};
      if (split_) {
        for (int64_t i = 0; i < std::ssize(user.labels); ++i) p.positions.push_back(i);
      } else {
        p.positions = split_positions(user.labels, classes_, name, part, seed);
      }
      all.push_back(std::move(p));
    }
    return all;
  }

  std::vector<std::string> classes_, domains_;
  bool split_ = false;
  Users train_, test_;  // without a split, all images are in train_
};

}  // namespace

std::unique_ptr<Benchmark> open_femnist(const BenchmarkOptions& options) { return std::make_unique<Femnist>(options); }

}  // namespace holt::data
