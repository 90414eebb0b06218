#include "data/loader.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <thread>

#include "data/mix.h"
#include "kernels/philox.h"

namespace holt::data {
namespace {

// Upper byte of the Philox stream: tells this draw apart from data/samples.cpp's and data/mix.cpp's.
constexpr uint64_t kOrderStream = uint64_t{0xD1} << 56;

// Uniform in 0 … n−1 from 64 random bits; off from uniform by at most n/2^64.
int64_t below(int64_t n, uint64_t bits) {
  return static_cast<int64_t>((static_cast<unsigned __int128>(bits) * static_cast<uint64_t>(n)) >> 64);
}
uint64_t join(uint32_t low, uint32_t high) { return uint64_t{high} << 32 | low; }

// What makes an epoch's batches; shared by the threads.
class Maker {
 public:
  Maker(std::shared_ptr<const Samples> samples, const LoaderOptions& o, int64_t epoch)
      : samples_(std::move(samples)),
        options_(o),
        making_{o.augment, o.seed, epoch},
        scale_shift_(o.normalize, samples_->image_shape()[2], samples_->bytes()) {
    if (o.shuffle) {
      order_ = epoch_order(samples_->size(), o.seed, epoch);
    } else {
      order_.resize(static_cast<size_t>(samples_->size()));
      std::iota(order_.begin(), order_.end(), int64_t{0});
    }
  }

  Batch begin(int64_t step) const {
    const int64_t from = step * options_.batch, count = std::min(options_.batch, samples_->size() - from);
    const Shape s = samples_->image_shape();
    Batch b{empty({count, s[0], s[1], s[2]}), empty({count}, DType::i64), {}};
    b.samples.assign(order_.begin() + from, order_.begin() + from + count);
    for (int64_t k = 0; k < count; ++k)
      b.labels.data<int64_t>()[k] = samples_->label(b.samples[static_cast<size_t>(k)]);
    return b;
  }
  int64_t pieces(const Batch& b) const { return samples_->slow() ? std::ssize(b.samples) : 1; }
  // One sample, or all of them.
  void fill(Batch& b, int64_t piece) const {
    const int64_t n = std::ssize(b.samples), first = samples_->slow() ? piece : 0,
                  last = samples_->slow() ? piece + 1 : n;
    const int64_t pixels = samples_->image_shape().numel();
    for (int64_t k = first; k < last; ++k) {
      int64_t& sample = b.samples[static_cast<size_t>(k)];
      if (!samples_->make(sample, making_, scale_shift_, b.images.data<float>() + k * pixels)) sample = -1;
    }
  }
  void finish(Batch& b, int64_t step) const {
    leave_out_unread(b, step);
    mix(b, options_.augment, options_.seed, making_.epoch, step);
  }
  Batch make(int64_t step) const {
    Batch b = begin(step);
    for (int64_t k = 0, n = pieces(b); k < n; ++k) fill(b, k);
    finish(b, step);
    return b;
  }

 private:
  void leave_out_unread(Batch& b, int64_t step) const {
    const int64_t n = std::ssize(b.samples), pixels = samples_->image_shape().numel();
    float* images = b.images.data<float>();
    int64_t *labels = b.labels.data<int64_t>(), kept = 0;
    for (int64_t k = 0; k < n; ++k) {
      if (b.samples[static_cast<size_t>(k)] < 0) continue;
      if (k != kept) {
        std::memcpy(images + kept * pixels, images + k * pixels, static_cast<size_t>(pixels) * sizeof(float));
        labels[kept] = labels[k];
        b.samples[static_cast<size_t>(kept)] = b.samples[static_cast<size_t>(k)];
      }
      ++kept;
    }
    if (kept == n) return;
    check(kept > 0, "{}: none of the {} images of batch {} can be read", samples_->name(), n, step);
    b.samples.resize(static_cast<size_t>(kept));
    b.images = b.images.narrow(0, kept);
    b.labels = b.labels.narrow(0, kept);
  }

  std::shared_ptr<const Samples> samples_;
  LoaderOptions options_;
  Making making_;
  ScaleShift scale_shift_;
  std::vector<int64_t> order_;
};

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

Loader::Loader(Dataset dataset, LoaderOptions options) : Loader(in_memory(std::move(dataset)), std::move(options)) {}

Loader::Loader(std::shared_ptr<const Samples> samples, LoaderOptions options)
    : samples_(std::move(samples)), options_(std::move(options)) {
  const Samples& s = *samples_;
  const Shape shape = s.image_shape();
  check(options_.batch >= 1, "loader: batch must be at least 1, got {}", options_.batch);
  check(!options_.drop_last || s.size() >= options_.batch,
        "loader: {} has {} samples, fewer than one batch of {}, and incomplete batches are dropped", s.name(), s.size(),
        options_.batch);
  check(options_.prefetch >= 0 && options_.workers >= 0,
        "loader: prefetch and workers must be 0 or more, got {} and {}", options_.prefetch, options_.workers);
  const int64_t smaller = std::min(shape[0], shape[1]);
  check(options_.augment.pad >= 0 && options_.augment.pad < smaller,
        "loader: pad must be in 0 … {} for images of {}, got {}", smaller - 1, shape, options_.augment.pad);
  validate(options_.augment);
  s.check(options_.augment);
  for (const auto* v : {&options_.normalize.mean, &options_.normalize.std})
    check(v->empty() || static_cast<int64_t>(v->size()) == shape[2],
          "loader: mean and std need one number for each of {} channels, got {}", shape[2], v->size());
  for (const float x : options_.normalize.std)
    check(x > 0 && std::isfinite(x), "loader: std must be positive, got {}", x);
}

int64_t Loader::batches() const {
  const int64_t n = samples_->size(), b = options_.batch;
  return options_.drop_last ? n / b : (n + b - 1) / b;
}

Loader::Epoch Loader::epoch(int64_t epoch, int64_t first) const {
  check(epoch >= 0 && first >= 0 && first <= batches(), "loader: epoch {} from step {} of {} does not exist", epoch,
        first, batches());
  const auto maker = std::make_shared<const Maker>(samples_, options_, epoch);
  Epoch e;
  if (options_.prefetch == 0) {
    e.make_ = [maker, step = first, last = batches()]() mutable -> std::optional<Batch> {
      if (step == last) return std::nullopt;
      return maker->make(step++);
    };
    return e;
  }
  const int cores = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  const int workers = options_.workers > 0 ? options_.workers : samples_->slow() ? cores : 1;
  Assembly<Batch> assembly = {[maker](int64_t step) { return maker->begin(step); },
                              [maker](const Batch& b) { return maker->pieces(b); },
                              [maker](Batch& b, int64_t piece) { maker->fill(b, piece); },
                              [maker](Batch& b, int64_t step) { maker->finish(b, step); }};
  e.ahead_ = std::make_unique<Workers<Batch>>(std::move(assembly), first, batches(), workers, options_.prefetch);
  return e;
}

}  // namespace holt::data
