// The same classes in several domains: what a transfer task is cut from.
//
//   auto glyphs = open_benchmark("glyphs");
//   Dataset fonts = glyphs->load(glyphs->source(), Part::train, 0), writer = glyphs->load("Breip", Part::test, 0);
//
// Each benchmark is one file in data/ and one line in benchmark.cpp.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "data/loader.h"

namespace holt::data {

enum class Part { train, test };

struct BenchmarkOptions {
  std::string folder = {};  ///< where the files are; "" = where the package puts them
  int64_t image_size = 0;   ///< side of the square images in pixels; 0 = the benchmark's own
  /// Leave out images that cannot be decoded (the data set's name then says how many) instead of failing.
  bool skip_corrupt = false;
};

class Benchmark {
 public:
  virtual ~Benchmark() = default;
  /// Every domain's labels are positions in this list.
  virtual const std::vector<std::string>& classes() const = 0;
  /// All domains, in the order in which to list them.
  virtual const std::vector<std::string>& domains() const = 0;
  /// The usual source domain.
  virtual std::string source() const = 0;
  /// The domains to which a model of `source` is usually transferred.
  virtual std::vector<std::string> targets(const std::string& source) const = 0;
  /// What networks are fed: (x − mean) / std on pixels scaled to 0 … 1.
  virtual Normalize normalize() const = 0;
  /// [height, width, channels] of every image.
  virtual Shape image_shape() const = 0;
  /// The images of one domain: u8, or f32 in 0 … 1; equal arguments give equal bits. The training part holds all
  /// classes; who plays with partial data takes some away. Errors: an unknown domain (lists the known ones), missing or
  /// corrupt files.
  virtual Dataset load(const std::string& domain, Part part, uint64_t seed) const = 0;
  /// The labels that load() would give, without decoding images where that can be spared (and so with the corrupt
  /// ones).
  virtual std::vector<int64_t> labels(const std::string& domain, Part part, uint64_t seed) const;
};

struct BenchmarkEntry {
  std::string name, description;
  std::string needs;  ///< what the user must have: "a folder domain/class/image (--data-dir)"; "" if it is embedded
  std::function<std::unique_ptr<Benchmark>(const BenchmarkOptions&)> open;
};

/// All benchmarks, in the order in which to list them.
const std::vector<BenchmarkEntry>& benchmarks();

/// Error for an unknown name (lists the known ones), and for a folder that is needed and was not given.
std::unique_ptr<Benchmark> open_benchmark(const std::string& name, const BenchmarkOptions& options = {});

/// The position of `domain` in benchmark.domains(); Error (lists the known ones) if it is none of them. `name` is the
/// benchmark's, for the message.
size_t domain_index(const Benchmark& benchmark, const std::string& name, const std::string& domain);

/// The samples at these positions, in this order. Copies.
Dataset select(const Dataset& dataset, const std::vector<int64_t>& positions);

}  // namespace holt::data
