#include "kernels/memory.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

#include "kernels/stream.h"
#include "tests/harness/expect_error.h"
#include "tests/harness/units.h"

namespace holt {
namespace {

using test::KiB, test::MiB;

long minor_faults() {
  rusage u;
  getrusage(RUSAGE_SELF, &u);
  return u.ru_minflt;
}

class HostDevices : public testing::TestWithParam<Device> {};
INSTANTIATE_TEST_SUITE_P(Memory, HostDevices, testing::Values(Device::cpu, Device::simt),
                         [](const auto& info) { return to_string(info.param); });

TEST_P(HostDevices, BlocksAreAlignedDistinctAndNeverNull) {
  std::vector<std::pair<char*, size_t>> blocks;
  for (size_t bytes : {size_t{0}, size_t{1}, size_t{63}, size_t{64}, size_t{65}, 1000 * KiB, 2 * MiB, 5 * MiB + 1}) {
    char* p = static_cast<char*>(allocate(GetParam(), bytes));
    ASSERT_NE(p, nullptr);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(p) % 64, 0u) << bytes;
    std::memset(p, static_cast<int>(blocks.size()), bytes);
    blocks.emplace_back(p, bytes);
  }
  for (size_t i = 0; i < blocks.size(); ++i) {
    for (size_t k = 0; k < blocks[i].second; ++k) ASSERT_EQ(blocks[i].first[k], static_cast<char>(i));
    deallocate(GetParam(), blocks[i].first, blocks[i].second);
  }
}

TEST_P(HostDevices, StatisticsFollowCurrentAndPeak) {
  reset_peak(GetParam());
  const MemoryStats before = memory_stats(GetParam());
  EXPECT_EQ(before.peak, before.current);
  void* a = allocate(GetParam(), 3 * MiB);
  void* b = allocate(GetParam(), 1 * MiB);
  deallocate(GetParam(), a, 3 * MiB);
  const MemoryStats after = memory_stats(GetParam());
  EXPECT_EQ(after.current - before.current, 1 * MiB);
  EXPECT_EQ(after.peak - before.current, 4 * MiB);
  deallocate(GetParam(), b, 1 * MiB);
  EXPECT_EQ(memory_stats(GetParam()).current, before.current);
  reset_peak(GetParam());
  EXPECT_EQ(memory_stats(GetParam()).peak, before.current);
}

TEST_P(HostDevices, ThreadsShareTheAllocatorSafely) {
  const size_t before = memory_stats(GetParam()).current;
  std::vector<std::thread> threads;
  std::vector<int> damaged(4, 0);
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&damaged, t, d = GetParam()] {
      std::vector<std::pair<unsigned char*, size_t>> mine;
      for (int i = 0; i < 3000; ++i) {
        const size_t bytes = 1 + static_cast<size_t>(i * 37 % 5000);
        mine.emplace_back(static_cast<unsigned char*>(allocate(d, bytes)), bytes);
        std::memset(mine.back().first, t, bytes);
        if (mine.size() > 20) {
          const auto [p, n] = mine[static_cast<size_t>(i) % mine.size()];
          for (size_t k = 0; k < n; ++k) damaged[static_cast<size_t>(t)] += p[k] != t;
          mine.erase(mine.begin() + i % static_cast<int>(mine.size()));
          deallocate(d, p, n);
        }
      }
      for (auto [p, n] : mine) deallocate(d, p, n);
    });
  for (auto& t : threads) t.join();
  EXPECT_EQ(damaged, std::vector<int>(4, 0));
  EXPECT_EQ(memory_stats(GetParam()).current, before);
}

TEST(Memory, LittleOfABlockIsWaste) {
  for (size_t bytes : {size_t{1025}, size_t{4097}, 70 * KiB + 1, 1 * MiB + 1, 33 * MiB + 7}) {
    const size_t before = memory_stats(Device::cpu).current;
    void* p = allocate(Device::cpu, bytes);
    const double used = static_cast<double>(memory_stats(Device::cpu).current - before);
    EXPECT_GE(used, static_cast<double>(bytes));
    EXPECT_LE(used, 1.07 * static_cast<double>(bytes)) << bytes;
    deallocate(Device::cpu, p, bytes);
  }
}

TEST(Memory, AWarmTrainingLoopAsksTheSystemForNothing) {
  const std::vector<size_t> sizes = {3 * MiB + 100, 64, 700 * KiB, 12 * MiB, 12 * MiB, 1, 40 * KiB, 260 * KiB, 3 * MiB};
  const auto step = [&] {
    std::vector<std::pair<void*, size_t>> kept;
    for (size_t bytes : sizes) {  // what a forward keeps, with scratch memory between
      const Workspace scratch(Device::cpu, bytes / 2);
      std::memset(scratch.as<char>(), 1, bytes / 2);
      kept.emplace_back(allocate(Device::cpu, bytes), bytes);
      std::memset(kept.back().first, 1, bytes);
    }
    for (; !kept.empty(); kept.pop_back()) deallocate(Device::cpu, kept.back().first, kept.back().second);
  };
  step();
  const MemoryStats warm = memory_stats(Device::cpu);
  const long faults = minor_faults();
  for (int i = 0; i < 10; ++i) step();
  const MemoryStats after = memory_stats(Device::cpu);
  EXPECT_EQ(after.system_allocations, warm.system_allocations);
  EXPECT_EQ(after.peak, warm.peak);
  EXPECT_EQ(after.cached, warm.cached);
  EXPECT_LE(minor_faults() - faults, 16);
}

TEST(Memory, ReleasingTheCacheReturnsItAll) {
  deallocate(Device::cpu, allocate(Device::cpu, 8 * MiB), 8 * MiB);
  const MemoryStats before = memory_stats(Device::cpu);
  EXPECT_GE(before.cached, 8 * MiB);
  release_cached(Device::cpu);
  const MemoryStats after = memory_stats(Device::cpu);
  EXPECT_EQ(after.cached, 0u);
  EXPECT_EQ(after.current, before.current);
  deallocate(Device::cpu, allocate(Device::cpu, 8 * MiB), 8 * MiB);
  EXPECT_EQ(memory_stats(Device::cpu).system_allocations, after.system_allocations + 1);
}

TEST(Memory, FreshEmulatedMemoryIsNaN) {
  for (int round = 0; round < 2; ++round) {  // the second time too: blocks are not reused as they were left
    const Workspace w(Device::simt, 1001 * sizeof(float));
    for (int i = 0; i < 1001; ++i) ASSERT_TRUE(std::isnan(w.as<float>()[i])) << i;
    std::memset(w.as<float>(), 0, 1001 * sizeof(float));
  }
}

TEST(Memory, CopiesAnyNumberOfBytes) {
  for (size_t bytes : {size_t{0}, size_t{1}, size_t{65}, 3 * MiB + 5}) {
    const Workspace a(Device::cpu, bytes), b(Device::simt, bytes), c(Device::cpu, bytes);
    for (size_t i = 0; i < bytes; ++i) a.as<char>()[i] = static_cast<char>(i * 7 + i / 256);
    copy_bytes(Device::simt, b.as<void>(), Device::cpu, a.as<void>(), bytes);
    copy_bytes(Device::cpu, c.as<void>(), Device::simt, b.as<void>(), bytes);
    EXPECT_EQ(std::memcmp(a.as<char>(), c.as<char>(), bytes), 0);
  }
}

TEST(Memory, RequestsThatNoMachineCanServeAreErrors) {
  for (Device d : {Device::cpu, Device::simt})
    for (size_t bytes : {size_t{1} << 45, ~size_t{0}}) {
      const std::string e = text_of([&] { deallocate(d, allocate(d, bytes), bytes); });
      EXPECT_NE(e.find(format("out of memory on {}: asked for ", d)), e.npos) << e;
      EXPECT_NE(e.find(format("({} bytes)", bytes)), e.npos) << e;
      EXPECT_NE(e.find("in use and"), e.npos) << e;
    }
}

TEST(Memory, CudaWithoutAGpuIsAnErrorThatSaysWhy) {
  if (cuda_device_count() > 0) GTEST_SKIP() << "there is a GPU";
  const std::string why = cuda_missing_reason();
  EXPECT_NE(why, "");
  char cell = 0;
  for (const auto& f : std::vector<std::function<void()>>{
           [] { allocate(Device::cuda, 8); }, [] { memory_stats(Device::cuda); }, [] { reset_peak(Device::cuda); },
           [] { release_cached(Device::cuda); }, [&] { copy_bytes(Device::cuda, &cell, Device::cpu, &cell, 1); }})
    EXPECT_NE(text_of(f).find(why), std::string::npos) << text_of(f);
  deallocate(Device::cuda, nullptr, 8);
}

// The limit is read once, so each of these runs in a process of its own.
class MemoryLimit : public testing::Test {
 protected:
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
  static void with_limit(const char* limit, const std::function<void()>& f) {
    setenv("HOLT_MEMORY_LIMIT", limit, 1);
    std::fprintf(stderr, "%s\n", text_of(f).c_str());
    std::exit(0);
  }
};

TEST_F(MemoryLimit, NamesTheRequestWhatIsInUseAndTheLimit) {
  for (Device d : {Device::cpu, Device::simt})
    EXPECT_EXIT(
        with_limit("64M", [d] { const Workspace a(d, 40 * MiB), b(d, 30 * MiB); }), testing::ExitedWithCode(0),
        "out of memory on " + to_string(d) +
            ": asked for 30.00 MiB .31457280 bytes. with 40.00 MiB in use and 0 bytes cached "
            ".peak 40.00 MiB, largest request so far 40.00 MiB.; HOLT_MEMORY_LIMIT is 64.00 MiB .kernels/memory.cpp:");
}

TEST_F(MemoryLimit, TheCacheIsGivenUpFirst) {
  EXPECT_EXIT(with_limit("65536K",
                         [] {
                           deallocate(Device::cpu, allocate(Device::cpu, 40 * MiB), 40 * MiB);
                           const Workspace larger(Device::cpu, 60 * MiB);
                           check(memory_stats(Device::cpu).cached == 0, "still cached");
                         }),
              testing::ExitedWithCode(0), "^no error");
}

TEST_F(MemoryLimit, MustBeANumberOfBytes) {
  for (const char* bad : {"much", "12Q", "-1", "1.5G", "99999999999G", "M"})
    EXPECT_EXIT(with_limit(bad, [] { allocate(Device::cpu, 8); }), testing::ExitedWithCode(0),
                std::string("HOLT_MEMORY_LIMIT: expected a number of bytes.*got '") + bad + "'");
}

#if defined(__SANITIZE_ADDRESS__)
TEST(MemoryDeathTest, AddressSanitizerSeesOverrunsAndLateUses) {
  char* p = static_cast<char*>(allocate(Device::cpu, 70));
  EXPECT_DEATH(*static_cast<volatile char*>(p + 70) = 1, "use-after-poison");
  deallocate(Device::cpu, p, 70);
  EXPECT_DEATH(*static_cast<volatile char*>(p) = 1, "use-after-poison");
}
#endif

}  // namespace
}  // namespace holt
