// `holt bench loader`: what the preparation of training images costs, stage by stage, and how many a second come out.
#pragma once
#include <cstdint>
#include <string>

namespace holt::app {

struct LoaderBench {
  std::string folder;  ///< of photographs, CLASS/IMAGE; "": JPEGs of 500 × 375 pixels, quality 90, made for the run
  std::string augment = "randaugment";
  int64_t image_size = 224, batch = 32, images = 512, workers = 0;
  std::string json;  ///< also a file with the numbers
};

int bench_loader(const LoaderBench& options);

}  // namespace holt::app
