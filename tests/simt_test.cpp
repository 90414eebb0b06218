// The emulated GPU: threads and blocks, barriers, launches, limits, exceptions. Kernels are ordinary .cu code; this
// file is compiled for the emulator only.
#include <gtest/gtest.h>
#include <omp.h>

#include <algorithm>
#include <numeric>
#include <set>
#include <stdexcept>
#include <vector>

#include "kernels/gpu.cuh"
#include "tests/simt_error.h"

namespace holt {
namespace {

constexpr uint64_t kSchedules = 20;

struct Seen {
  uint3 thread, block;
  dim3 block_dim, grid_dim;
  int times;
};

__global__ void note_indices(Seen* seen) {
  const int64_t threads = int64_t{blockDim.x} * blockDim.y * blockDim.z;
  const int64_t block = blockIdx.x + int64_t{gridDim.x} * (blockIdx.y + int64_t{gridDim.y} * blockIdx.z);
  const int64_t thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  Seen& s = seen[block * threads + thread];
  s = {threadIdx, blockIdx, blockDim, gridDim, s.times + 1};
}

TEST(SimtThreads, EachRunsOnceAndKnowsItsPlace) {
  const dim3 grids[] = {1, 7, {3, 2}, {2, 3, 5}}, blocks[] = {1, 31, 32, 1024, {8, 4}, {3, 5, 7}, {1, 1, 64}};
  for (const dim3 grid : grids)
    for (const dim3 block : blocks) {
      std::vector<Seen> seen(grid.count() * block.count());
      launch<note_indices>(Simt{5}, {grid, block}, seen.data());
      size_t i = 0;
      for (unsigned bz = 0; bz < grid.z; ++bz)
        for (unsigned by = 0; by < grid.y; ++by)
          for (unsigned bx = 0; bx < grid.x; ++bx)
            for (unsigned z = 0; z < block.z; ++z)
              for (unsigned y = 0; y < block.y; ++y)
                for (unsigned x = 0; x < block.x; ++x, ++i) {
                  const Seen& s = seen[i];
                  ASSERT_EQ(s.times, 1);
                  ASSERT_TRUE(s.thread.x == x && s.thread.y == y && s.thread.z == z);
                  ASSERT_TRUE(s.block.x == bx && s.block.y == by && s.block.z == bz);
                  ASSERT_TRUE(s.block_dim.count() == block.count() && s.grid_dim.count() == grid.count());
                }
    }
}

__global__ void note_order(int* order, int* next) { order[atomicAdd(next, 1)] = static_cast<int>(threadIdx.x); }

std::vector<int> order_of(uint64_t schedule) {
  std::vector<int> order(256);
  int next = 0;
  launch<note_order>(Simt{schedule}, {1, 256}, order.data(), &next);
  return order;
}

TEST(SimtThreads, RunInASeededPermutation) {
  std::set<std::vector<int>> orders;
  for (uint64_t seed = 0; seed < kSchedules; ++seed) {
    std::vector<int> order = order_of(seed);
    EXPECT_EQ(order, order_of(seed));
    orders.insert(order);
    EXPECT_FALSE(std::is_sorted(order.begin(), order.end()));
    std::sort(order.begin(), order.end());
    for (int i = 0; i < 256; ++i) ASSERT_EQ(order[i], i);
  }
  EXPECT_EQ(orders.size(), kSchedules);
}

// ---- Barriers ----

__global__ void reverse_each_block(const float* x, float* y) {
  SHARED(float, tile, [1024]);
  const int64_t first = int64_t{blockIdx.x} * blockDim.x;
  tile[threadIdx.x] = x[first + threadIdx.x];
  __syncthreads();
  y[first + threadIdx.x] = tile[blockDim.x - 1 - threadIdx.x];
}

TEST(SimtBarrier, OrdersSharedMemory) {
  for (int threads : {1, 2, 31, 32, 33, 100, 256, 1024})
    for (uint64_t seed = 0; seed < kSchedules; ++seed) {
      std::vector<float> x(5 * threads), y(x.size());
      std::iota(x.begin(), x.end(), 0.0f);
      launch<reverse_each_block>(Simt{seed}, {5, threads}, x.data(), y.data());
      for (int b = 0; b < 5; ++b)
        for (int t = 0; t < threads; ++t) ASSERT_EQ(y[b * threads + t], x[b * threads + threads - 1 - t]);
    }
}

__global__ void barrier_votes(int limit, int* out) {
  const int yes = static_cast<int>(threadIdx.x) < limit;
  int* mine = out + 3 * threadIdx.x;
  mine[0] = __syncthreads_count(yes);
  mine[1] = __syncthreads_or(yes);
  mine[2] = __syncthreads_and(yes);
}

TEST(SimtBarrier, CountsVotes) {
  for (int threads : {1, 31, 33, 256})
    for (int limit : {0, 1, threads - 1, threads})
      for (uint64_t seed = 0; seed < 5; ++seed) {
        std::vector<int> out(3 * threads, -1);
        launch<barrier_votes>(Simt{seed}, {1, threads}, limit, out.data());
        for (int t = 0; t < threads; ++t) {
          ASSERT_EQ(out[3 * t], limit);
          ASSERT_EQ(out[3 * t + 1], limit > 0);
          ASSERT_EQ(out[3 * t + 2], limit == threads);
        }
      }
}

// Of those who leave early the barrier expects nothing, whether they leave before the others wait or after.
__global__ void some_leave(int stay, int rounds, int* counts) {
  for (int i = 0; i < rounds; ++i) {
    if (static_cast<int>(threadIdx.x) >= stay) return;
    counts[threadIdx.x] += __syncthreads_count(1);
  }
}

TEST(SimtBarrier, WaitsOnlyForLiveThreads) {
  for (int stay : {0, 1, 17, 64, 128})
    for (uint64_t seed = 0; seed < kSchedules; ++seed) {
      std::vector<int> counts(128);
      launch<some_leave>(Simt{seed}, {1, 128}, stay, 3, counts.data());
      for (int t = 0; t < 128; ++t) ASSERT_EQ(counts[t], t < stay ? 3 * stay : 0);
    }
}

__global__ void reduce_blocks(const float* x, float* sums, float* maxima) {
  const float v = x[blockIdx.x * blockDim.x + threadIdx.x];
  const float s = block_sum(v), m = block_max(v);
  if (threadIdx.x == 0) {
    sums[blockIdx.x] = s;
    maxima[blockIdx.x] = m;
  }
}

TEST(SimtBarrier, BlockReductionsOfTheDialect) {
  for (int threads : {32, 96, 1024})
    for (uint64_t seed = 0; seed < 5; ++seed) {
      std::vector<float> x(6 * threads), sums(6), maxima(6);
      for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i * 7919 % 101);
      launch<reduce_blocks>(Simt{seed}, {6, threads}, x.data(), sums.data(), maxima.data());
      for (int b = 0; b < 6; ++b) {
        const auto first = x.begin() + b * threads, last = first + threads;
        ASSERT_EQ(sums[b], std::accumulate(first, last, 0.0f));  // small integers: exact in any order
        ASSERT_EQ(maxima[b], *std::max_element(first, last));
      }
    }
}

// ---- Blocks ----

// What a kernel computes does not depend on how many OS threads ran its blocks.
TEST(SimtLaunch, GivesTheSameOnAnyNumberOfOsThreads) {
  std::vector<float> x(256 * 64), sums(64), maxima(64), sums1(64), maxima1(64);
  for (size_t i = 0; i < x.size(); ++i) x[i] = std::sin(static_cast<float>(i));
  launch<reduce_blocks>(Simt{3}, {64, 256}, x.data(), sums.data(), maxima.data());
  const int before = omp_get_max_threads();
  for (int threads : {1, 3, 8}) {
    omp_set_num_threads(threads);
    launch<reduce_blocks>(Simt{3}, {64, 256}, x.data(), sums1.data(), maxima1.data());
    EXPECT_EQ(sums, sums1);
    EXPECT_EQ(maxima, maxima1);
  }
  omp_set_num_threads(before);
}

__global__ void last_block_adds(const int* x, int* partial, unsigned* arrived, int* total) {
  SHARED(int, last);
  if (threadIdx.x == 0) {
    partial[blockIdx.x] = x[blockIdx.x];
    __threadfence();
    last = atomicAdd(arrived, 1u) == gridDim.x - 1;
    if (last) {
      __threadfence();
      int sum = 0;
      for (unsigned b = 0; b < gridDim.x; ++b) sum += partial[b];
      *total = sum;
    }
  }
  __syncthreads();
  if (last && threadIdx.x == 1) atomicAdd(total, 1000000);
}

TEST(SimtLaunch, LetsTheLastBlockFinish) {
  std::vector<int> x(500);
  std::iota(x.begin(), x.end(), 0);
  for (uint64_t seed = 0; seed < kSchedules; ++seed) {
    std::vector<int> partial(500, -1);
    unsigned arrived = 0;
    int total = 0;
    launch<last_block_adds>(Simt{seed}, {500, 32}, x.data(), partial.data(), &arrived, &total);
    ASSERT_EQ(total, 500 * 499 / 2 + 1000000);
  }
}

__global__ void count_run(int* runs) { atomicAdd(runs, 1); }

TEST(SimtLaunch, OfZeroBlocksRunsNothing) {
  int runs = 0;
  for (const dim3 grid : {dim3(0), dim3(5, 0), dim3(5, 5, 0)}) launch<count_run>(Simt{}, {grid, 32}, &runs);
  EXPECT_EQ(runs, 0);
}

TEST(SimtLaunch, HoldsToCudasLimits) {
  int runs = 0;
  auto error = [&](LaunchShape s) { return text_of([&] { launch<count_run>(Simt{}, s, &runs); }); };
  EXPECT_THAT_ERROR(error({1, 1025}), "count_run", "(1025,1,1)", "1 to 1024");
  EXPECT_THAT_ERROR(error({1, 0}), "(0,1,1)");
  EXPECT_THAT_ERROR(error({1, {32, 33}}), "(32,33,1)");
  EXPECT_THAT_ERROR(error({1, {1, 1, 65}}), "(1,1,65)", "64 in z");
  EXPECT_THAT_ERROR(error({{1, 65536}, 1}), "(1,65536,1)", "65535");
  EXPECT_THAT_ERROR(error({{1, 1, 65536}, 1}), "(1,1,65536)");
  EXPECT_THAT_ERROR(error({int64_t{1} << 31, 1}), "(2147483648,1,1)");
  EXPECT_THAT_ERROR(error({1, 1, 227 * 1024 + 1}), "232449", "232448");
  EXPECT_THAT_ERROR(text_of([] { dim3(int64_t{1} << 32); }), "4294967296", "32 bits");
  EXPECT_THAT_ERROR(text_of([] { dim3(-1); }), "-1");
  EXPECT_EQ(runs, 0);
  launch<count_run>(Simt{}, {{2, 1, 3}, {4, 4, 64}, 227 * 1024}, &runs);
  EXPECT_EQ(runs, 6 * 1024);
}

__global__ void launches_another(int* runs) { launch<count_run>(Simt{}, {1, 1}, runs); }

TEST(SimtLaunch, IsRefusedInsideAKernel) {
  int runs = 0;
  EXPECT_THAT_ERROR(text_of([&] {
                      launch<launches_another>(Simt{}, {1, 4}, &runs);
                    }),
                    "launches_another", "count_run", "inside a kernel");
  EXPECT_EQ(runs, 0);
}

TEST(SimtLaunch, PrimitivesAreRefusedOutsideAKernel) {
  EXPECT_THAT_ERROR(text_of([] { __syncthreads(); }), "__syncthreads", "outside of a kernel", "simt_test.cpp");
  EXPECT_THAT_ERROR(text_of([] { __shfl_sync(1, 1, 0); }), "__shfl_sync", "outside of a kernel");
  EXPECT_THAT_ERROR(text_of([] {
                      SHARED(int, x);
                      x = 1;
                    }),
                    "'x'", "outside of a kernel");
}

// ---- Exceptions ----

struct Counted {
  explicit Counted(int* n) : n(n) { atomicAdd(n, 1); }
  ~Counted() { atomicAdd(n, -1); }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  int* n;
};

__global__ void one_throws(int* alive, unsigned who, bool others_wait) {
  const Counted local(alive);
  if (threadIdx.x == who && blockIdx.x == gridDim.x / 2) throw std::out_of_range("thread " + std::to_string(who));
  if (others_wait) __syncthreads();
}

TEST(SimtExceptions, ReachTheCallerAndLeaveTheEmulatorClean) {
  for (unsigned blocks : {1u, 40u})
    for (bool others_wait : {false, true})
      for (uint64_t seed = 0; seed < kSchedules; ++seed) {
        int alive = 0;
        std::string what;
        try {
          launch<one_throws>(Simt{seed}, {blocks, 96}, &alive, 95u, others_wait);
        } catch (const std::out_of_range& e) { what = e.what(); }
        EXPECT_EQ(what, "thread 95");
        EXPECT_EQ(alive, 0);  // waiting threads were unwound: their locals are gone
        int runs = 0;
        launch<count_run>(Simt{seed}, {4, 64}, &runs);
        ASSERT_EQ(runs, 256);
      }
}

__global__ void all_throw() { fail("toy: thread {} is unhappy", threadIdx.x); }

TEST(SimtExceptions, OfManyThreadsTheFirstCounts) {
  for (uint64_t seed = 0; seed < kSchedules; ++seed)
    EXPECT_THAT_ERROR(text_of([&] { launch<all_throw>(Simt{seed}, {100, 64}); }), "toy: thread", "unhappy");
}

// A kernel's frames may be deep and its arrays large, within its stack.
__device__ int depth(int n) {
  volatile char frame[256] = {};
  return n == 0 ? frame[0] : 1 + depth(n - 1);
}
__global__ void deep(int* out) {
  out[threadIdx.x] = depth(40);
  __syncthreads();
  out[threadIdx.x] += depth(20);
}

TEST(SimtThreads, HaveRoomOnTheirStacks) {
  std::vector<int> out(64);
  launch<deep>(Simt{1}, {1, 64}, out.data());
  for (int x : out) EXPECT_EQ(x, 60);
}

}  // namespace
}  // namespace holt
