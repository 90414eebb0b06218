// holt's runtime on the cuda device: memory, copies, events, statistics, devices. Runs on a GPU, or on the double of
// CUDA's runtime; what only the double can show (two GPUs, little memory) is for it alone.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

#include "core/ops.h"
#include "kernels/device.h"
#include "kernels/memory.h"
#include "kernels/stream.h"
#include "tests/harness/expect_error.h"
#include "tests/harness/units.h"

#if defined(HOLT_CUDART_DOUBLE)
#include "tests/doubles/cudart/double.h"
#endif

namespace holt {
namespace {

constexpr Device kGpu{Device::cuda, 0};
using test::MiB;

class CudaRuntime : public testing::Test {
 protected:
  void SetUp() override {
    if (cuda_device_count() == 0) GTEST_SKIP() << cuda_missing_reason();
  }
};

TEST_F(CudaRuntime, CopiesAnyNumberOfBytesBothWays) {
  for (size_t bytes : {size_t{0}, size_t{1}, size_t{65}, 3 * MiB + 5}) {
    const Workspace a(Device::cpu, bytes), b(kGpu, bytes), c(kGpu, bytes), d(Device::cpu, bytes);
    for (size_t i = 0; i < bytes; ++i) a.as<char>()[i] = static_cast<char>(i * 7 + i / 256);
    copy_bytes(kGpu, b.as<void>(), Device::cpu, a.as<void>(), bytes);
    std::memset(a.as<char>(), 0, bytes);  // the source may be touched again
    copy_bytes(kGpu, c.as<void>(), kGpu, b.as<void>(), bytes);
    copy_bytes(Device::cpu, d.as<void>(), kGpu, c.as<void>(), bytes);
    for (size_t i = 0; i < bytes; ++i) ASSERT_EQ(d.as<char>()[i], static_cast<char>(i * 7 + i / 256));
  }
}

TEST_F(CudaRuntime, StatisticsFollowCurrentAndPeak) {
  synchronize(kGpu);
  reset_peak(kGpu);
  const MemoryStats before = memory_stats(kGpu);
  void* a = allocate(kGpu, 3 * MiB);
  void* b = allocate(kGpu, 1 * MiB);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(a) % 256, 0u);
  deallocate(kGpu, a, 3 * MiB);
  const MemoryStats after = memory_stats(kGpu);
  EXPECT_GE(after.current, before.current + 1 * MiB);
  EXPECT_GE(after.peak, before.current + 4 * MiB);
  deallocate(kGpu, b, 1 * MiB);
  EXPECT_EQ(memory_stats(kGpu).current, before.current);
  release_cached(kGpu);
  EXPECT_LE(memory_stats(kGpu).cached, before.cached);
}

TEST_F(CudaRuntime, EventsMeasureAndOrder) {
  Event a(kGpu), b(kGpu);
  a.record();
  const Tensor x = full({1 << 16}, 2.0, DType::f32, kGpu);
  const Tensor y = x * x;
  b.record();
  b.wait();
  EXPECT_GE(b.seconds_since(a), 0);
  EXPECT_LT(b.seconds_since(a), 60);
  EXPECT_EQ(y.to_vector<float>()[77], 4);
}

TEST_F(CudaRuntime, ThreadsHaveStreamsOfTheirOwn) {
  std::vector<std::thread> threads;
  std::vector<float> results(4, 0);
  for (size_t t = 0; t < 4; ++t)
    threads.emplace_back([&results, t] {
      Tensor x = full({1000}, static_cast<double>(t), DType::f32, kGpu);
      for (int i = 0; i < 10; ++i) x = x + full({1000}, 1.0, DType::f32, kGpu);
      results[t] = x.to_vector<float>()[999];
    });
  for (auto& t : threads) t.join();
  for (size_t t = 0; t < 4; ++t) EXPECT_EQ(results[t], static_cast<float>(t) + 10);
}

TEST_F(CudaRuntime, DevicesThatAreNotThereAreNamed) {
  EXPECT_ERROR(parse_device("cuda:127"), "'cuda:127' is not available: this machine has");
  EXPECT_ERROR(allocate({Device::cuda, 127}, 8), "cuda:127 is not available: this machine has");
  EXPECT_ERROR(full({3}, 1.0, DType::f32, kGpu) + full({3}, 1.0), "cuda:0");
}

#if defined(HOLT_CUDART_DOUBLE)
constexpr Device kSecond{Device::cuda, 1};

TEST_F(CudaRuntime, TheSecondGpuComputesToo) {
  ASSERT_EQ(cuda_device_count(), 2);
  EXPECT_EQ(parse_device("cuda:1"), kSecond);
  const Tensor a = full({100}, 3.0, DType::f32, kSecond), b = full({100}, 4.0, DType::f32, kGpu);
  EXPECT_EQ((a + a).to_vector<float>()[99], 6);
  EXPECT_EQ((b + b).to_vector<float>()[99], 8);
  EXPECT_ERROR(a + b, "cuda:1");
  const Workspace x(kGpu, 8), y(kSecond, 8);
  EXPECT_ERROR(copy_bytes(kGpu, x.as<void>(), kSecond, y.as<void>(), 8), "copying between two GPUs");
  EXPECT_EQ(a.to(Device::cpu).to(kGpu).to_vector<float>()[5], 3);
}

TEST_F(CudaRuntime, OutOfMemorySaysWhatIsUsed) {
  synchronize(kGpu);
  release_cached(kGpu);
  holt_double_set_total_memory(64 * MiB);
  {
    const Workspace held(kGpu, 40 * MiB);
    EXPECT_ERROR(Workspace(kGpu, 30 * MiB), "out of memory on cuda:0: asked for 30.00 MiB (31457280 bytes)");
    EXPECT_ERROR(Workspace(kGpu, 30 * MiB), "the GPU has");
    const Workspace fits(kGpu, 20 * MiB);
  }
  // Cached by one thread's stream, wanted by another's: released, and it fits.
  std::thread([] { const Workspace w(kGpu, 50 * MiB); }).join();
  holt_double_set_total_memory(size_t{2} << 30);
}

// Out of what is there, the pool's table stands in the text.
TEST_F(CudaRuntime, OutOfMemoryShowsThePoolsTable) {
  synchronize(kGpu);
  release_cached(kGpu);
  reset_peak(kGpu);
  holt_double_set_total_memory(64 * MiB);
  {
    const Workspace held(kGpu, 8 * MiB);
    { const Workspace larger(kGpu, 32 * MiB); }
    EXPECT_ERROR(Workspace(kGpu, 60 * MiB), "with 8.00 MiB in use and");
    EXPECT_ERROR(Workspace(kGpu, 60 * MiB), "(peak 40.00 MiB, largest request so far ");
    EXPECT_ERROR(Workspace(kGpu, 60 * MiB), "the GPU has 56.00 MiB free of 64.00 MiB");
  }
  holt_double_set_total_memory(size_t{2} << 30);
}

TEST_F(CudaRuntime, AGpuWithoutCodeForItIsNamed) {
  holt_double_fail_next("launch", cudaErrorNoKernelImageForDevice);
  EXPECT_ERROR(full({3}, 1.0, DType::f32, kGpu),
               "cuda:0 has compute capability 9.0, and this build of holt has no code for it, but for the emulator; "
               "configure it with -DHOLT_CUDA_ARCHITECTURES=90 (cudaErrorNoKernelImageForDevice)");
}

// The driver is asked once, so each of these runs in a process of its own.
class CudaStartDeathTest : public testing::Test {
 protected:
  static void starts_with(const char* variable, const char* value) {
    setenv(variable, value, 1);
    std::fprintf(stderr, "%d: %s\n", cuda_device_count(), cuda_missing_reason().c_str());
    try {
      full({3}, 1.0, DType::f32, kGpu);
    } catch (const Error& e) { std::fprintf(stderr, "%s\n", e.what()); }
    std::exit(0);
  }
};
TEST_F(CudaStartDeathTest, WhatIsMissingIsNamed) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto exits = testing::ExitedWithCode(0);
  EXPECT_EXIT(starts_with("HOLT_DOUBLE_DRIVER", "0"), exits, "0: there is no NVIDIA driver");
  EXPECT_EXIT(starts_with("HOLT_DOUBLE_DRIVER", "12040"), exits,
              "0: the NVIDIA driver is too old: it offers CUDA 12.4, and this build of holt uses CUDA");
  EXPECT_EXIT(starts_with("HOLT_DOUBLE_DEVICES", "0"), exits, "cuda:0 is not available: the NVIDIA driver sees no GPU");
  EXPECT_EXIT(starts_with("HOLT_DOUBLE_DEVICES", "1"), exits, "1: \n");
}

TEST_F(CudaRuntime, AKernelsFaultIsAnErrorWithItsName) {
  holt_double_fail_next("launch", cudaErrorInvalidConfiguration);
  EXPECT_ERROR(full({3}, 1.0, DType::f32, kGpu), "fill");
  EXPECT_EQ(full({3}, 1.0, DType::f32, kGpu).to_vector<float>()[2], 1);
}
#endif

}  // namespace
}  // namespace holt
