// Batches that travel to a device ahead of their use are the loader's own, whatever the order in which the device's
// streams run.
#include "data/device_batches.h"

#include <gtest/gtest.h>

#include "core/ops.h"
#include "kernels/stream.h"
#include "tests/harness/expect_error.h"

#if defined(HOLT_CUDART_DOUBLE)
#include "tests/doubles/cudart/double.h"
#endif

namespace holt::data {
namespace {

constexpr int64_t kSamples = 43, kBatch = 4;

Dataset numbered() {
  Dataset d;
  d.name = "numbered";
  Generator g(5);
  d.images = uniform({kSamples, 6, 6, 1}, 0, 1, g);
  std::vector<int64_t> labels(kSamples);
  for (int64_t i = 0; i < kSamples; ++i) labels[static_cast<size_t>(i)] = i % 3;
  d.labels = from(labels, Shape{kSamples});
  d.classes = {"a", "b", "c"};
  return d;
}

std::vector<Device> devices() {
  std::vector<Device> d{Device::cpu, Device::simt};
  if (cuda_device_count() > 0) d.push_back(Device::cuda);
  return d;
}

// What a run sees: of each batch the sum of its images' squares and all labels, fetched only when all is launched.
struct Fetched {
  std::vector<double> squares;
  std::vector<int64_t> labels;
  friend bool operator==(const Fetched&, const Fetched&) = default;
};

Fetched fetch(const std::vector<Tensor>& squares, const std::vector<Tensor>& labels) {
  Fetched s;
  for (const Tensor& t : squares) s.squares.push_back(t.item());
  for (const Tensor& t : labels)
    for (int64_t y : t.to_vector<int64_t>()) s.labels.push_back(y);
  return s;
}

Fetched directly(const Loader& loader, Device d) {
  std::vector<Tensor> squares, labels;
  auto epoch = loader.epoch(1);
  while (auto batch = epoch.next()) {
    squares.push_back(sum(square(batch->images.to(d))));
    labels.push_back(batch->labels.to(d));
  }
  return fetch(squares, labels);
}

Fetched ahead(const Loader& loader, Device d) {
  std::vector<Tensor> squares, labels;
  DeviceBatches batches(loader.epoch(1), d);
  while (auto batch = batches.next()) {
    EXPECT_EQ(batch->images.device(), d);
    EXPECT_EQ(batch->labels.device(), d);
    squares.push_back(sum(square(batch->images)));
    labels.push_back(batch->labels);
  }
  EXPECT_FALSE(batches.next()) << "and from then on";
  return fetch(squares, labels);
}

TEST(DeviceBatches, AreTheLoadersOwn) {
  const Loader loader(numbered(), {.batch = kBatch, .shuffle = true, .seed = 3});
  for (Device d : devices()) EXPECT_EQ(ahead(loader, d), directly(loader, d)) << to_string(d);
}

#if defined(HOLT_CUDART_DOUBLE)
// The GPU may copy late (streams of the double are lazy) or at once: the results are the same.
TEST(DeviceBatches, AreTheSameHoweverTheStreamsRun) {
  const Loader loader(numbered(), {.batch = kBatch, .shuffle = true, .seed = 3});
  const Fetched expected = directly(loader, Device::cpu);
  for (int copies_eager : {0, 1})
    for (int steps_eager : {0, 1}) {
      holt_double_set_new_streams_eager(copies_eager);
      holt_double_set_eager(cudaStreamPerThread, steps_eager);
      const Fetched seen = ahead(loader, Device::cuda);
      EXPECT_EQ(seen.labels, expected.labels);
      for (size_t i = 0; i < seen.squares.size(); ++i)  // 144 terms, summed in another order
        EXPECT_LE(std::abs(seen.squares[i] - expected.squares[i]), 1e-5 * expected.squares[i]);
    }
  holt_double_set_new_streams_eager(0);
  holt_double_set_eager(cudaStreamPerThread, 0);
}

TEST(DeviceBatches, MayBeLeftInTheMiddle) {
  const Loader loader(numbered(), {.batch = kBatch});
  synchronize(Device::cuda);
  const auto counts = [] {
    return std::tuple(holt_double_live_allocations(), holt_double_live_pinned(), holt_double_live_handles());
  };
  const auto before = counts();
  for (int taken : {0, 1, 3}) {
    std::optional<Batch> kept;
    {
      DeviceBatches batches(loader.epoch(0), Device::cuda);
      for (int i = 0; i < taken; ++i) kept = batches.next();
    }
    if (kept) { EXPECT_EQ(kept->labels.to_vector<int64_t>()[0], (taken - 1) * kBatch % 3); }
  }
  synchronize(Device::cuda);
  EXPECT_EQ(counts(), before);
}

TEST(DeviceBatches, NoPinnedMemoryIsAnError) {
  const Loader loader(numbered(), {.batch = kBatch});
  DeviceBatches batches(loader.epoch(0), Device::cuda);
  holt_double_fail_next("cudaHostAlloc", cudaErrorMemoryAllocation);
  EXPECT_ERROR(batches.next(), "upload: pinned memory on cuda:0: out of memory (cudaErrorMemoryAllocation)");
}
#endif

TEST(DeviceBatches, TheLoadersErrorsArrive) {
  for (Device d : devices()) {
    DeviceBatches batches(Loader(numbered(), {.batch = kBatch}).epoch(0, 11), d);
    EXPECT_FALSE(batches.next());  // an epoch of 11 steps has none left
  }
}

}  // namespace
}  // namespace holt::data
