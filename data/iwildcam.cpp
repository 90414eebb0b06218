#include "data/iwildcam.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <map>
#include <set>

#include "data/csv.h"
#include "data/image_files.h"
#include "data/split.h"

namespace holt::data {
namespace {

namespace fs = std::filesystem;

constexpr size_t kTargets = 21, kLeastImages = 20, kLeastClasses = 4;
constexpr int64_t kMostClasses = 100'000;
constexpr const char* kTrain = "train";

// Images of one camera, with the sequence that each is of.
struct Trap {
  std::vector<ImageFile> files;
  std::vector<std::string> sequences;
};

int64_t number(const std::string& path, int64_t line, const char* column, const std::string& text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  check(error == std::errc() && end == text.data() + text.size() && value >= 0,
        "{}: line {}: {} must be a number from 0 on, got '{}'", path, line, column, text);
  return value;
}

std::vector<std::string> read_categories(const std::string& path) {
  std::map<int64_t, std::string> names;
  read_csv(path, {"y", "name"}, [&](const std::vector<std::string>& fields, int64_t line) {
    const int64_t y = number(path, line, "y", fields[0]);
    check(names.emplace(y, fields[1]).second, "{}: line {}: y {} is there twice", path, line, y);
  });
  std::vector<std::string> all;
  for (const auto& [y, name] : names) {
    check(y == std::ssize(all), "{}: y {} is missing", path, all.size());
    all.push_back(name);
  }
  check(!all.empty(), "{}: it names no class", path);
  return all;
}

class IWildCam : public Benchmark {
 public:
  explicit IWildCam(const BenchmarkOptions& o) : side_(image_side("iwildcam", o.image_size)), skip_(o.skip_corrupt) {
    check(!o.folder.empty(), "iwildcam: give the folder that holds WILDS' metadata.csv (--data-dir)");
    const fs::path folder = o.folder;
    std::error_code ignored;
    if (fs::exists(folder / "categories.csv", ignored))
      classes_ = read_categories((folder / "categories.csv").string());
    read_metadata(folder);
  }

  const std::vector<std::string>& classes() const override { return classes_; }
  const std::vector<std::string>& domains() const override { return domains_; }
  std::string source() const override { return kTrain; }
  std::vector<std::string> targets(const std::string& source) const override {
    domain_index(*this, "iwildcam", source);
    std::vector<std::string> others(domains_.begin() + 1, domains_.end());
    std::erase(others, source);
    return others;
  }
  Normalize normalize() const override { return {kImageNetMean, kImageNetStd}; }
  Shape image_shape() const override { return {side_, side_, 3}; }

  Dataset load(const std::string& domain, Part part, uint64_t seed) const override {
    return load_image_files(format("iwildcam: {} ({})", domain, part == Part::train ? "train" : "test"),
                            files(domain, part, seed), classes_, {.frame = {side_, side_}, .skip_corrupt = skip_});
  }
  std::vector<int64_t> labels(const std::string& domain, Part part, uint64_t seed) const override {
    std::vector<int64_t> all;
    for (const ImageFile& f : files(domain, part, seed)) all.push_back(f.label);
    return all;
  }

 private:
  void read_metadata(const fs::path& folder) {
    const std::string path = (folder / "metadata.csv").string();
    const int64_t most = classes_.empty() ? kMostClasses : std::ssize(classes_);
    std::map<int64_t, Trap> cameras;
    int64_t last = -1;
    read_csv(path, {"split", "location_remapped", "sequence_remapped", "y", "filename"},
             [&](const std::vector<std::string>& fields, int64_t line) {
               const std::string &split = fields[0], &file = fields[4];
               const int64_t location = number(path, line, "location_remapped", fields[1]);
               const int64_t y = number(path, line, "y", fields[3]);
               check(y < most, "{}: line {}: y {} is outside 0 … {}", path, line, y, most - 1);
               check(!file.empty(), "{}: line {}: filename is empty", path, line);
               last = std::max(last, y);
               ImageFile image{(folder / "train" / file).string(), y, format("metadata.csv:{}", line)};
               if (split == "train") {
                 train_.push_back(std::move(image));
               } else if (split == "id_test") {
                 id_test_.push_back(std::move(image));
               } else if (split == "test") {
                 cameras[location].files.push_back(std::move(image));
                 cameras[location].sequences.push_back(fields[2]);
               } else {
                 check(split == "val" || split == "id_val",
                       "{}: line {}: split must be train, val, test, id_val or id_test, got '{}'", path, line, split);
               }
             });
    check(!train_.empty(), "{}: no image of the split 'train'", path);
    if (classes_.empty())
      for (int64_t k = 0; k <= last; ++k) classes_.push_back(std::to_string(k));
    choose(path, std::move(cameras));
  }

  void choose(const std::string& path, std::map<int64_t, Trap> cameras) {
    std::vector<int64_t> chosen;
    for (const auto& [location, camera] : cameras) {
      std::set<int64_t> classes;
      for (const ImageFile& f : camera.files) classes.insert(f.label);
      if (camera.files.size() >= kLeastImages && classes.size() >= kLeastClasses) chosen.push_back(location);
    }
    check(!chosen.empty(), "{}: none of the {} cameras of the split 'test' has {} images of {} classes", path,
          cameras.size(), kLeastImages, kLeastClasses);
    std::stable_sort(chosen.begin(), chosen.end(),
                     [&](int64_t a, int64_t b) { return cameras.at(a).files.size() > cameras.at(b).files.size(); });
    chosen.resize(std::min(kTargets, chosen.size()));
    domains_ = {kTrain};
    for (const int64_t location : chosen) {
      domains_.push_back(format("location-{}", location));
      targets_[domains_.back()] = std::move(cameras.at(location));
    }
  }

  std::vector<ImageFile> files(const std::string& domain, Part part, uint64_t seed) const {
    domain_index(*this, "iwildcam", domain);
    if (domain == kTrain) return part == Part::train ? train_ : id_test_;
    const Trap& camera = targets_.at(domain);
    std::map<std::string, size_t> position;  // of a sequence, in the order in which they begin
    std::vector<int64_t> labels;
    for (size_t i = 0; i < camera.files.size(); ++i)
      if (position.emplace(camera.sequences[i], labels.size()).second) labels.push_back(camera.files[i].label);
    std::vector<bool> mine(labels.size());
    for (const int64_t i : split_positions(labels, classes_, domain, part, seed)) mine[static_cast<size_t>(i)] = true;
    std::vector<ImageFile> drawn;
    for (size_t i = 0; i < camera.files.size(); ++i)
      if (mine[position.at(camera.sequences[i])]) drawn.push_back(camera.files[i]);
    return drawn;
  }

  std::vector<std::string> classes_, domains_;
  std::vector<ImageFile> train_, id_test_;
  std::map<std::string, Trap> targets_;
  int64_t side_;
  bool skip_;
};

}  // namespace

std::unique_ptr<Benchmark> open_iwildcam(const BenchmarkOptions& options) {
  return std::make_unique<IWildCam>(options);
}

}  // namespace holt::data
