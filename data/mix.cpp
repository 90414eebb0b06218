#include "data/mix.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace holt::data {
namespace {

// Upper byte of the Philox stream (data/samples.cpp has the others).
constexpr uint64_t kMixStream = uint64_t{0xD4} << 56;

// f(image, its neighbour) for each image of the batch, with the neighbours as they were before.
template <class F>
void with_neighbours(Batch& b, F&& f) {
  const int64_t n = b.images.size(0), pixels = b.images.numel() / n;
  float* x = b.images.data<float>();
  const std::vector<float> last(x + (n - 1) * pixels, x + n * pixels);
  for (int64_t i = n - 1; i >= 0; --i) f(x + i * pixels, i > 0 ? x + (i - 1) * pixels : last.data());
}

}  // namespace

void mix(Batch& b, const Augment& a, uint64_t seed, int64_t epoch, int64_t step) {
  const int64_t n = b.images.size(0), height = b.images.size(1), width = b.images.size(2), c = b.images.size(3);
  if ((a.mixup <= 0 && a.cutmix <= 0) || n < 2) return;
  Draws draws(seed, kMixStream | static_cast<uint64_t>(epoch), step);
  const bool cut = a.cutmix > 0 && (a.mixup <= 0 || draws.coin());
  const double alpha = cut ? a.cutmix : a.mixup, share = draws.beta(alpha, alpha);
  if (cut) {
    const int64_t x = draws.below(width), y = draws.below(height);
    const double half = 0.5 * std::sqrt(1 - share);
    const auto half_width = static_cast<int64_t>(half * static_cast<double>(width)),
               half_height = static_cast<int64_t>(half * static_cast<double>(height));
    const int64_t left = std::max<int64_t>(0, x - half_width), right = std::min(width, x + half_width);
    const int64_t top = std::max<int64_t>(0, y - half_height), bottom = std::min(height, y + half_height);
    with_neighbours(b, [&](float* image, const float* other) {
      for (int64_t r = top; r < bottom; ++r) {
        const int64_t at = (r * width + left) * c;
        std::memcpy(image + at, other + at, static_cast<size_t>((right - left) * c) * sizeof(float));
      }
    });
    b.share = 1 - static_cast<double>((right - left) * (bottom - top)) / static_cast<double>(width * height);
  } else {
    const auto mine = static_cast<float>(share), others = static_cast<float>(1 - share);
    with_neighbours(b, [&](float* image, const float* other) {
      for (int64_t i = 0; i < height * width * c; ++i) image[i] = mine * image[i] + others * other[i];
    });
    b.share = share;
  }
  b.other_labels = empty({n}, DType::i64);
  const int64_t* labels = b.labels.data<int64_t>();
  for (int64_t i = 0; i < n; ++i) b.other_labels.data<int64_t>()[i] = labels[(i + n - 1) % n];
}

}  // namespace holt::data
