#include "data/benchmark.h"

#include <algorithm>
#include <cstring>

#include "data/cifar.h"
#include "data/fashion_camera.h"
#include "data/femnist.h"
#include "data/folder.h"
#include "data/glyphs.h"
#include "data/iwildcam.h"

namespace holt::data {

const std::vector<BenchmarkEntry>& benchmarks() {
  static const std::vector<BenchmarkEntry> all = {
      {"glyphs", "Letters and digits in 55 text fonts, and in ten people's hands (62 classes, 28×28 grey)", "",
       open_glyphs},
      {"fashion", "Fashion-MNIST, and the same clothes under a simulated camera (10 classes, 28×28 grey)",
       "Debian's package dataset-fashion-mnist, or its files (--data-dir)", open_fashion},
      {"folder", "Your own images: folders domain/class/image, or lists of `path label` (RGB, 224×224 or --image-size)",
       "the folder (--data-dir)", open_folder},
      {"femnist", "FEMNIST: letters and digits, one writer a domain (62 classes, 28×28 grey)",
       "LEAF's JSON files (--data-dir)", open_femnist},
      {"iwildcam", "iWildCam: animals before camera traps, one camera a domain (RGB, 224×224 or --image-size)",
       "WILDS' folder with metadata.csv (--data-dir)", open_iwildcam},
      {"cifar", "CIFAR-10 or CIFAR-100, and the same images under a simulated camera (32×32 RGB)",
       "the binary version of one of them (--data-dir)", open_cifar},
  };
  return all;
}

std::vector<int64_t> Benchmark::labels(const std::string& domain, Part part, uint64_t seed) const {
  const Dataset d = load(domain, part, seed);
  return {d.labels.data<int64_t>(), d.labels.data<int64_t>() + d.size()};
}

std::unique_ptr<Benchmark> open_benchmark(const std::string& name, const BenchmarkOptions& options) {
  std::string known;
  for (const BenchmarkEntry& e : benchmarks()) {
    if (e.name == name) return e.open(options);
    known += (known.empty() ? "" : ", ") + e.name;
  }
  fail("data: there is no benchmark '{}'; known are {}", name, known);
}

size_t domain_index(const Benchmark& benchmark, const std::string& name, const std::string& domain) {
  const std::vector<std::string>& all = benchmark.domains();
  const auto found = std::find(all.begin(), all.end(), domain);
  if (found != all.end()) return static_cast<size_t>(found - all.begin());
  std::string known;
  for (const std::string& d : all) known += (known.empty() ? "" : ", ") + d;
  fail("{}: there is no domain '{}'; known are {}", name, domain, known);
}

Dataset select(const Dataset& dataset, const std::vector<int64_t>& positions) {
  Shape shape = dataset.images.shape();
  const int64_t n = shape[0], count = static_cast<int64_t>(positions.size());
  shape.set(0, count);
  Dataset chosen{dataset.name, empty(shape, dataset.images.dtype()), empty({count}, DType::i64), dataset.classes};
  const size_t bytes = n ? dataset.images.bytes() / static_cast<size_t>(n) : 0;
  const auto* from = static_cast<const std::byte*>(dataset.images.raw());
  auto* to = static_cast<std::byte*>(chosen.images.raw());
  for (int64_t i = 0; i < count; ++i) {
    const int64_t p = positions[i];
    check(p >= 0 && p < n, "select: position {} is outside the data set of {} samples", p, n);
    std::memcpy(to + static_cast<size_t>(i) * bytes, from + static_cast<size_t>(p) * bytes, bytes);
    chosen.labels.data<int64_t>()[i] = dataset.labels.data<int64_t>()[p];
  }
  return chosen;
}

}  // namespace holt::data
