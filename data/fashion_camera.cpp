#include "data/fashion_camera.h"

#include "data/camera.h"
#include "data/fashion.h"

namespace holt::data {
namespace {

constexpr int64_t kFashionSide = 28, kSourceTrain = 30'000, kSourceTest = 10'000;

// Positions of the images that are numbers first … last of their class.
std::vector<int64_t> numbers_of_each_class(const Dataset& d, int64_t first, int64_t last) {
  std::vector<int64_t> seen(d.classes.size()), positions;
  for (int64_t i = 0; i < d.size(); ++i) {
    const int64_t number = seen[static_cast<size_t>(d.labels.data<int64_t>()[i])]++;
    if (number >= first && number <= last) positions.push_back(i);
  }
  for (size_t k = 0; k < seen.size(); ++k)
    check(seen[k] > last, "fashion: the test file holds {} images of '{}', {} are needed", seen[k], d.classes[k],
          last + 1);
  return positions;
}

class Fashion : public Benchmark {
 public:
  explicit Fashion(const BenchmarkOptions& o) : folder_(o.folder.empty() ? kFashionFolder : o.folder) {
    check(o.image_size == 0 || o.image_size == kFashionSide,
          "fashion: the images are {0} × {0}; they come in no other size, got {1}", kFashionSide, o.image_size);
  }

  const std::vector<std::string>& classes() const override { return fashion_classes(); }
  const std::vector<std::string>& domains() const override { return domains_; }
  std::string source() const override { return "train"; }
  std::vector<std::string> targets(const std::string& source) const override {
    domain_index(*this, "fashion", source);
    return {source == "train" ? "camera" : "train"};
  }
  Normalize normalize() const override { return {{kFashionMean}, {kFashionStd}}; }
  Shape image_shape() const override { return {kFashionSide, kFashionSide, 1}; }

  Dataset load(const std::string& domain, Part part, uint64_t seed) const override {
    domain_index(*this, "fashion", domain);
    const bool source = domain == "train", train = part == Part::train;
    const Dataset all = fashion(source ? Split::train : Split::test, folder_);
    check(all.images.size(1) == kFashionSide && all.images.size(2) == kFashionSide,
          "fashion: {} holds images of {} × {}, expected {} × {}", folder_, all.images.size(1), all.images.size(2),
          kFashionSide, kFashionSide);
    const std::string name = format("fashion: {} ({})", domain, train ? "train" : "test");
    if (source) {
      check(all.size() >= kSourceTrain + kSourceTest, "fashion: the training file holds {} images, {} are needed",
            all.size(), kSourceTrain + kSourceTest);
      const int64_t begin = train ? 0 : all.size() - kSourceTest, count = train ? kSourceTrain : kSourceTest;
      return {name, all.images.narrow(begin, count), all.labels.narrow(begin, count), all.classes};
    }
    const std::vector<int64_t> positions =
        train ? numbers_of_each_class(all, 0, 99) : numbers_of_each_class(all, 500, 799);
    return {name, photograph({}, all.images, positions, seed), select(all, positions).labels, all.classes};
  }

 private:
  std::string folder_;
  std::vector<std::string> domains_ = {"train", "camera"};
};

}  // namespace

std::unique_ptr<Benchmark> open_fashion(const BenchmarkOptions& options) { return std::make_unique<Fashion>(options); }

}  // namespace holt::data
