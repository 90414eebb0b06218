#include "apps/holt/bench/loader_bench.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "apps/holt/bench/stopwatch.h"
#include "core/json.h"
#include "data/image_folder.h"
#include "data/loader.h"
#include "kernels/file.h"

namespace holt::app {
namespace {

namespace fs = std::filesystem;
using data::Augment, data::Box, data::Draws, data::Frame, data::Image, data::ImageFolder, data::Making,
    data::ScaleShift;

constexpr int64_t kMade = 64;  // different photographs

// Blotches of every size, as photographs have them: value noise, each octave half as strong as the one before. About
// as many bytes as ImageNet's files of this size.
Image made_photo(int64_t height, int64_t width, uint64_t seed) {
  Image image{height, width, 3, {}};
  const auto lattice = [&](int64_t octave, int64_t c, int64_t y, int64_t x) {
    return uniform01(philox(seed, static_cast<uint64_t>(octave * 4 + c), static_cast<uint64_t>(y << 20 | x)).v[0]) -
           0.5;
  };
  std::vector<double> sum(static_cast<size_t>(height * width * 3), 128);
  for (int64_t octave = 0, step = 128; step >= 1; ++octave, step /= 2)
    for (int64_t c = 0; c < 3; ++c) {
      const double strength = (c == 0 ? 90.0 : 30.0) * std::pow(0.75, static_cast<double>(octave));
      const int64_t rows = height / step + 2, columns = width / step + 2;
      std::vector<double> grid;
      for (int64_t y = 0; y < rows; ++y)
        for (int64_t x = 0; x < columns; ++x) grid.push_back(strength * lattice(octave, c, y, x));
      for (int64_t y = 0; y < height; ++y)
        for (int64_t x = 0; x < width; ++x) {
          const double fy = static_cast<double>(y % step) / static_cast<double>(step),
                       fx = static_cast<double>(x % step) / static_cast<double>(step);
          const double* g = grid.data() + (y / step) * columns + x / step;
          const double v =
              (g[0] * (1 - fx) + g[1] * fx) * (1 - fy) + (g[columns] * (1 - fx) + g[columns + 1] * fx) * fy;
          for (int64_t k = 0; k < 3; ++k)  // the first channel of noise is common to all: mostly gray
            if (c == 0 || k == c) sum[static_cast<size_t>((y * width + x) * 3 + k)] += v;
        }
    }
  for (const double v : sum) image.pixels.push_back(static_cast<uint8_t>(std::clamp(v, 0.0, 255.0)));
  return image;
}

class TemporaryFolder {
 public:
  TemporaryFolder() : path_(fs::temp_directory_path() / format("holt-bench-loader.{}", getpid())) {
    for (int64_t i = 0; i < kMade; ++i) {
      const fs::path folder = path_ / "train" / (i % 2 ? "b" : "a");
      fs::create_directories(folder);
      write_atomically((folder / format("{}.jpg", i)).string(),
                       data::jpeg_bytes(made_photo(375, 500, static_cast<uint64_t>(i)), 90));
    }
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  std::string path() const { return path_.string(); }

 private:
  fs::path path_;
};

// Processor time of one stage over all images, on one thread: others that run on the machine do not count.
struct Stage {
  const char* name;
  double seconds = 0;
};

class Stages {
 public:
  Stages(const ImageFolder& folder, const LoaderBench& o) : folder_(folder), options_(o) {}

  void run() {
    const Frame frame = {options_.image_size, options_.image_size};
    Augment augment = data::augment_preset(options_.augment);
    const Making making = {augment, 1, 0};
    const ScaleShift by({data::kImageNetMean, data::kImageNetStd}, 3, true);
    std::vector<float> out(static_cast<size_t>(frame.bytes()));
    augment.crop = false;  // timed by itself
    for (int64_t i = 0; i < options_.images; ++i) {
      const std::string& path = folder_.files()[static_cast<size_t>(i % folder_.size())].path;
      Draws draws = data::pixel_draws(making, i);
      std::string file;
      Image image;
      Box box;
      time(0, [&] { file = read_file(path); });
      bytes_ += static_cast<double>(file.size());
      time(1, [&] { image = data::to_channels(data::decode_image(std::as_bytes(std::span(file)), path), 3); });
      pixels_ += static_cast<double>(image.height * image.width);
      time(2, [&] {
        box = data::random_crop(making.augment, image.height, image.width, draws);
        image = making.augment.crop ? data::resize(image, box, frame.height, frame.width)
                                    : data::fit_square(image, frame.height);
      });
      time(3, [&] { image = data::change_pixels(std::move(image), augment, draws); });
      time(4, [&] {
        data::write_image(image.pixels.data(), {frame.height, frame.width, 3}, data::placement(making, i), by,
                          out.data());
      });
    }
  }
  const std::vector<Stage>& stages() const { return stages_; }
  double kilobytes() const { return bytes_ / static_cast<double>(options_.images) / 1000; }
  double megapixels() const { return pixels_ / static_cast<double>(options_.images) / 1e6; }

 private:
  template <class F>
  void time(size_t stage, F&& f) {
    const double before = seconds_of(CLOCK_THREAD_CPUTIME_ID);
    f();
    stages_[stage].seconds += seconds_of(CLOCK_THREAD_CPUTIME_ID) - before;
  }

  const ImageFolder& folder_;
  const LoaderBench& options_;
  std::vector<Stage> stages_ = {{"read"}, {"decode"}, {"crop and resize"}, {"augment"}, {"normalise"}};
  double bytes_ = 0, pixels_ = 0;
};

struct Speed {
  int workers;
  double images, wall, processor;
};
Speed loader_speed(std::shared_ptr<const ImageFolder> folder, const LoaderBench& o, int workers) {
  data::LoaderOptions l = {.batch = std::min(o.batch, folder->size()), .shuffle = true, .drop_last = true};
  l.workers = workers;
  l.augment = data::augment_preset(o.augment);
  l.normalize = {data::kImageNetMean, data::kImageNetStd};
  const data::Loader loader(std::move(folder), l);
  Speed s = {workers, 0, 0, 0};
  const double wall = seconds_of(CLOCK_MONOTONIC), processor = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
  for (int64_t epoch = 0; s.images < static_cast<double>(o.images); ++epoch) {
    auto batches = loader.epoch(epoch);
    while (s.images < static_cast<double>(o.images)) {
      const auto b = batches.next();
      if (!b) break;
      s.images += static_cast<double>(b->images.size(0));
    }
  }
  s.wall = seconds_of(CLOCK_MONOTONIC) - wall;
  s.processor = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - processor;
  return s;
}

}  // namespace

int bench_loader(const LoaderBench& o) {
  std::unique_ptr<TemporaryFolder> made;
  if (o.folder.empty()) made = std::make_unique<TemporaryFolder>();
  const auto folder =
      std::make_shared<const ImageFolder>(made ? made->path() + "/train" : o.folder, data::Part::train,
                                          data::ImageFolderOptions{.frame = {o.image_size, o.image_size}});

  Stages stages(*folder, o);
  stages.run();
  const auto images = static_cast<double>(o.images);
  nlohmann::ordered_json json = {{"images", o.images}, {"augment", o.augment}, {"image_size", o.image_size}};
  std::puts(format("{}: {:.0f} kB and {:.2f} megapixels an image, to {} × {}, {}\n",
                   made ? "JPEGs made for this run" : o.folder, stages.kilobytes(), stages.megapixels(), o.image_size,
                   o.image_size, o.augment)
                .c_str());
  std::puts("  stage               ms an image   images/s a core");
  double all = 0;
  const auto line = [&](const char* name, double seconds) {
    std::puts(format("  {:<18}{:13.3f}{:18.0f}", name, 1000 * seconds / images, images / seconds).c_str());
    json["milliseconds"][name] = 1000 * seconds / images;
  };
  for (const Stage& s : stages.stages()) {
    line(s.name, s.seconds);
    all += s.seconds;
  }
  line("together", all);

  const int cores = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  std::vector<int> workers = {1};
  if (o.workers > 0)
    workers = {static_cast<int>(o.workers)};
  else if (cores > 1)
    workers.push_back(cores);
  std::puts("\n  loader                 images/s   images/s a core that it had");
  for (const int w : workers) {
    const Speed s = loader_speed(folder, o, w);
    std::puts(
        format("  {} worker{:<12}{:13.0f}{:16.0f}", w, w == 1 ? "" : "s", s.images / s.wall, s.images / s.processor)
            .c_str());
    json["loader"].push_back(
        {{"workers", w}, {"images_per_second", s.images / s.wall}, {"per_processor_second", s.images / s.processor}});
  }
  if (!o.json.empty()) write_atomically(o.json, json_text(json, 2) + "\n");
  return 0;
}

}  // namespace holt::app
