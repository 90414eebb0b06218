#include "data/loader.h"

#include <cmath>
#include <cstring>
#include <numeric>

#include "kernels/philox.h"

namespace holt::data {
namespace {

// Upper byte of the Philox stream: tells these draws apart from each other and from a Generator of the same seed.
constexpr uint64_t kOrderStream = uint64_t{0xD1} << 56, kAugmentStream = uint64_t{0xD2} << 56;

// Uniform in 0 … n−1 from 64 random bits; off from uniform by at most n/2^64.
int64_t below(int64_t n, uint64_t bits) {
  return static_cast<int64_t>((static_cast<unsigned __int128>(bits) * static_cast<uint64_t>(n)) >> 64);
}
uint64_t join(uint32_t low, uint32_t high) { return uint64_t{high} << 32 | low; }

// Where one sample's pixels come from: output pixel (y, x) is input (y + dy, x + dx), x counted from the right if
// flipped; outside is zero.
struct Placement {
  int64_t dy = 0, dx = 0;
  bool flip = false;
};

Placement placement(const Augment& a, uint64_t seed, int64_t epoch, int64_t sample) {
  if (a.pad == 0 && !a.flip) return {};
  const Philox4 r = philox(seed, kAugmentStream | static_cast<uint64_t>(epoch), static_cast<uint64_t>(sample));
  const int64_t span = 2 * int64_t{a.pad} + 1;
  return {below(span, uint64_t{r.v[0]} << 32) - a.pad, below(span, uint64_t{r.v[1]} << 32) - a.pad,
          a.flip && (r.v[2] >> 31) != 0};
}

// One image of H×W×C, moved and normalised: y = x·scale[c] + shift[c].
template <class T>
void write_image(const T* image, int64_t height, int64_t width, int64_t channels, Placement p, const float* scale,
                 const float* shift, float* out) {
  for (int64_t y = 0; y < height; ++y)
    for (int64_t x = 0; x < width; ++x, out += channels) {
      const int64_t sy = y + p.dy, sx = (p.flip ? width - 1 - x : x) + p.dx;
      const bool inside = sy >= 0 && sy < height && sx >= 0 && sx < width;
      const T* source = inside ? image + (sy * width + sx) * channels : nullptr;
      for (int64_t c = 0; c < channels; ++c)
        out[c] = inside ? static_cast<float>(source[c]) * scale[c] + shift[c] : shift[c];
    }
}

Batch make_batch(const Dataset& d, const LoaderOptions& o, const std::vector<int64_t>& order, int64_t epoch,
                 int64_t step) {
  const int64_t begin = step * o.batch, count = std::min(o.batch, d.size() - begin);
  const int64_t h = d.images.size(1), w = d.images.size(2), c = d.images.size(3), pixels = h * w * c;
  const bool bytes = d.images.dtype() == DType::u8;
  std::vector<float> scale(c), shift(c);
  for (int64_t k = 0; k < c; ++k) {
    const float mean = o.normalize.mean.empty() ? 0 : o.normalize.mean[k];
    const float std = o.normalize.std.empty() ? 1 : o.normalize.std[k];
    scale[k] = 1 / (bytes ? 255 * std : std);
    shift[k] = -mean / std;
  }
  Batch batch{empty({count, h, w, c}), empty({count}, DType::i64), {}};
  batch.samples.assign(order.begin() + begin, order.begin() + begin + count);
  float* out = batch.images.data<float>();
  int64_t* labels = batch.labels.data<int64_t>();
  for (int64_t i = 0; i < count; ++i, out += pixels) {
    const int64_t sample = batch.samples[i];
    const Placement p = placement(o.augment, o.seed, epoch, sample);
    if (bytes)
      write_image(d.images.data<uint8_t>() + sample * pixels, h, w, c, p, scale.data(), shift.data(), out);
    else
      write_image(d.images.data<float>() + sample * pixels, h, w, c, p, scale.data(), shift.data(), out);
    labels[i] = d.labels.data<int64_t>()[sample];
  }
  return batch;
}

}  // namespace

std::vector<int64_t> epoch_order(int64_t n, uint64_t seed, int64_t epoch) {
  std::vector<int64_t> order(n);
  std::iota(order.begin(), order.end(), int64_t{0});
  for (int64_t i = n - 1; i > 0; --i) {  // Fisher–Yates
    const Philox4 r = philox(seed, kOrderStream | static_cast<uint64_t>(epoch), static_cast<uint64_t>(i));
    std::swap(order[i], order[below(i + 1, join(r.v[0], r.v[1]))]);
  }
  return order;
}

Loader::Loader(Dataset dataset, LoaderOptions options)
    : dataset_(std::make_shared<const Dataset>(std::move(dataset))), options_(std::move(options)) {
  const Dataset& d = *dataset_;
  validate(d);
  check(d.images.numel() > 0, "loader: {} is empty, its images are {}", d.name, d.images.shape());
  check(options_.batch >= 1, "loader: batch must be at least 1, got {}", options_.batch);
  check(!options_.drop_last || d.size() >= options_.batch,
        "loader: {} has {} samples, fewer than one batch of {}, and incomplete batches are dropped", d.name, d.size(),
        options_.batch);
  check(options_.prefetch >= 0, "loader: prefetch must be 0 or more, got {}", options_.prefetch);
  const int64_t smaller = std::min(d.images.size(1), d.images.size(2));
  check(options_.augment.pad >= 0 && options_.augment.pad < smaller,
        "loader: pad must be in 0 … {} for images of {}, got {}", smaller - 1, d.images.shape(), options_.augment.pad);
  for (const auto* v : {&options_.normalize.mean, &options_.normalize.std})
    check(v->empty() || static_cast<int64_t>(v->size()) == d.images.size(3),
          "loader: mean and std need one number for each of {} channels, got {}", d.images.size(3), v->size());
  for (const float s : options_.normalize.std)
    check(s > 0 && std::isfinite(s), "loader: std must be positive, got {}", s);
}

int64_t Loader::batches() const {
  const int64_t n = dataset_->size(), b = options_.batch;
  return options_.drop_last ? n / b : (n + b - 1) / b;
}

Loader::Epoch Loader::epoch(int64_t epoch, int64_t first) const {
  check(epoch >= 0 && first >= 0 && first <= batches(), "loader: epoch {} from step {} of {} does not exist", epoch,
        first, batches());
  auto order = std::make_shared<std::vector<int64_t>>();
  Epoch e;
  e.make_ = [d = dataset_, o = options_, order, epoch, step = first,
             end = batches()]() mutable -> std::optional<Batch> {
    if (step == end) return std::nullopt;
    if (order->empty()) {
      if (o.shuffle) {
        *order = epoch_order(d->size(), o.seed, epoch);
      } else {
        order->resize(d->size());
        std::iota(order->begin(), order->end(), int64_t{0});
      }
    }
    return make_batch(*d, o, *order, epoch, step++);
  };
  if (options_.prefetch > 0)
    e.ahead_ = std::make_unique<Prefetch<Batch>>(e.make_, static_cast<size_t>(options_.prefetch));
  return e;
}

}  // namespace holt::data
