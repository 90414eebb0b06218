// Kernels with planted faults. The emulator must report each of them, under every schedule, and work afterwards.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <vector>

#include "kernels/gpu.cuh"
#include "kernels/simt/memory.h"
#include "tests/simt_error.h"

namespace holt {
namespace {

constexpr uint64_t kFaultSchedules = 50;

__global__ void well_behaved(const float* x, float* y) {
  const float s = block_sum(x[threadIdx.x]);
  y[threadIdx.x] = s;
}

// ":<line>" of the line of this file that ends in a comment with `text`.
std::string line_of(const std::string& text) {
  std::ifstream file(HOLT_SOURCE_DIR "/tests/simt_faults_test.cpp");
  std::string line;
  for (int n = 1; std::getline(file, line); ++n)
    if (line.ends_with("// " + text)) return format(":{}", n);
  return "no such line";
}

// That the emulator works after a fault.
void expect_healthy(uint64_t seed) {
  std::vector<float> x(64, 1.0f), y(64);
  launch<well_behaved>(Simt{seed}, {1, 64}, x.data(), y.data());
  for (float v : y) ASSERT_EQ(v, 64.0f);
}

// ---- A missing barrier: the permuted order makes the result wrong, every time ----

__global__ void reverse_without_barrier(const float* x, float* y) {
  SHARED(float, tile, [256]);
  const int t = threadIdx.x;
  tile[t] = x[t];
  y[t] = tile[blockDim.x - 1 - t];
}

// The barrier between the last reader of a round and the first writer of the next is missing.
__global__ void rounds_without_second_barrier(const float* x, float* y) {
  SHARED(float, tile, [256]);
  const int t = threadIdx.x;
  float sum = 0;
  for (int round = 0; round < 3; ++round) {
    tile[t] = x[t] * (round + 1);
    __syncthreads();
    sum += tile[(t + 1) % blockDim.x];
  }
  y[t] = sum;
}

__global__ void rotate_without_syncwarp(const float* x, float* y) {
  SHARED(float, tile, [32]);
  const int t = threadIdx.x;
  tile[t] = x[t];
  y[t] = tile[(t + 1) % 32];
}

__global__ void global_without_barrier(const float* x, float* y) {
  const int t = threadIdx.x;
  y[t] = x[t];
  y[blockDim.x + t] = y[blockDim.x - 1 - t];
}

TEST(SimtFaults, AMissingBarrierGivesWrongResults) {
  for (uint64_t seed = 0; seed < kFaultSchedules; ++seed) {
    std::vector<float> x(256), y(256), z(512, NAN);
    for (int i = 0; i < 256; ++i) x[i] = float(i);
    int wrong = 0;
    launch<reverse_without_barrier>(Simt{seed}, {1, 256}, x.data(), y.data());
    for (int i = 0; i < 256; ++i) wrong += !(y[i] == x[255 - i]);
    EXPECT_GT(wrong, 64);
    wrong = 0;
    launch<rounds_without_second_barrier>(Simt{seed}, {1, 256}, x.data(), y.data());
    for (int i = 0; i < 256; ++i) wrong += !(y[i] == x[(i + 1) % 256] * 6);
    EXPECT_GT(wrong, 64);
    wrong = 0;
    launch<rotate_without_syncwarp>(Simt{seed}, {1, 32}, x.data(), y.data());
    for (int i = 0; i < 32; ++i) wrong += !(y[i] == x[(i + 1) % 32]);
    EXPECT_GT(wrong, 4);
    wrong = 0;
    launch<global_without_barrier>(Simt{seed}, {1, 256}, x.data(), z.data());
    for (int i = 0; i < 256; ++i) wrong += !(z[256 + i] == x[255 - i]);
    EXPECT_GT(wrong, 64);
  }
}

// ---- Barriers that cannot be met ----

__global__ void divergent_barrier() {
  if (threadIdx.x < 16) {
    __syncthreads();  // first of two
  } else {
    __syncthreads();  // second of two
  }
}

__global__ void divergent_kinds(int* y) {
  if (threadIdx.x % 2) {
    __syncthreads();
  } else {
    y[threadIdx.x] = __syncthreads_count(1);
  }
}

// The same barrier in the source, but one thread passes it once more.
__global__ void one_round_more(int* y) {
  for (unsigned i = 0; i < 2 + (threadIdx.x == 7); ++i) __syncthreads();
  y[threadIdx.x] = __shfl_sync(kFullWarp, 1, 0);
}

__global__ void barrier_never_reached() {
  if (threadIdx.x < 40)
    __syncthreads();
  else
    __syncwarp();  // of the second warp, whose first eight lanes are at the barrier
}

TEST(SimtFaults, DivergentBarriers) {
  std::vector<int> y(64);
  for (uint64_t seed = 0; seed < kFaultSchedules; ++seed) {
    EXPECT_THAT_ERROR(text_of([&] {
                        launch<divergent_barrier>(Simt{seed}, {3, 64});
                      }),
                      "divergent_barrier", "block (",
                      "threads 0-15 in __syncthreads at simt_faults_test.cpp:", "threads 16-63 in __syncthreads at",
                      line_of("first of two"), line_of("second of two"));
    expect_healthy(seed);
    EXPECT_THAT_ERROR(text_of([&] {
                        launch<divergent_kinds>(Simt{seed}, {1, 64}, y.data());
                      }),
                      "divergent_kinds", "different barriers", "__syncthreads_count at", "__syncthreads at");
    expect_healthy(seed);
  }
}

TEST(SimtFaults, BarriersThatOthersNeverReach) {
  std::vector<int> y(64);
  for (uint64_t seed = 0; seed < kFaultSchedules; ++seed) {
    EXPECT_THAT_ERROR(text_of([&] {
                        launch<barrier_never_reached>(Simt{seed}, {1, 64});
                      }),
                      "barrier_never_reached", "block (0,0,0)", "can never come",
                      "threads 0-39 in __syncthreads at simt_faults_test.cpp:",
                      "threads 40-63 in __syncwarp with mask 0xffffffff at simt_faults_test.cpp:");
    expect_healthy(seed);
    EXPECT_THAT_ERROR(text_of([&] {
                        launch<one_round_more>(Simt{seed}, {1, 64}, y.data());
                      }),
                      "one_round_more", "can never come", "thread 7 in __syncthreads",
                      "__shfl_sync with mask 0xffffffff");
    expect_healthy(seed);
  }
}

__global__ void divergent_plane() {
  if (threadIdx.y == 1)
    __syncthreads();
  else
    __syncthreads();
}

TEST(SimtFaults, ThreadsOfAPlaneAreNamedByTheirCoordinates) {
  EXPECT_THAT_ERROR(text_of([] {
                      launch<divergent_plane>(Simt{}, {{1, 2}, {4, 2, 2}});
                    }),
                    "threads (0,1,0)-(3,1,0),(0,1,1)-(3,1,1) in __syncthreads");
}

// ---- Warp primitives ----

__global__ void outside_its_mask(int* y) { y[threadIdx.x] = __shfl_sync(0x0000ffffu, 1, 0); }
__global__ void vote_outside_its_mask(int* y) { y[threadIdx.x] = __any_sync(0xfffffffeu, 1); }
__global__ void names_an_absent_lane(int* y) { y[threadIdx.x] = __shfl_xor_sync(kFullWarp, 1, 1); }
__global__ void names_an_exited_lane(int* y) {
  if (threadIdx.x == 3) return;
  y[threadIdx.x] = __shfl_down_sync(kFullWarp, 1, 1);
}
__global__ void masks_disagree(int* y) { y[threadIdx.x] = __ballot_sync(threadIdx.x < 16 ? kFullWarp : ~0x1u, 1); }
__global__ void different_calls(int* y) {
  if (threadIdx.x < 16)
    y[threadIdx.x] = __shfl_sync(kFullWarp, 1, 0);
  else
    y[threadIdx.x] = __shfl_sync(kFullWarp, 2, 0);
}
__global__ void wrong_width(int* y) { y[threadIdx.x] = __shfl_sync(kFullWarp, 1, 0, 12); }
__global__ void product_of_half_a_warp(float* y) {
  float d[4] = {};
  const uint32_t a[4] = {}, b[2] = {};
  if (threadIdx.x < 16) mma_bf16_16x8x16(d, a, b);
  y[threadIdx.x] = d[0];
}

TEST(SimtFaults, WarpPrimitives) {
  std::vector<int> y(64);
  std::vector<float> f(64);
  for (uint64_t seed = 0; seed < kFaultSchedules; ++seed) {
    auto error = [&](auto kernel, int threads) {
      return text_of([&] { kernel(Simt{seed}, LaunchShape{1, threads}); });
    };
    EXPECT_THAT_ERROR(error([&](Simt s, LaunchShape l) { launch<outside_its_mask>(s, l, y.data()); }, 64),
                      "outside_its_mask", "thread (", "__shfl_sync", "mask 0x0000ffff",
                      "does not name the caller, lane", "simt_faults_test.cpp:");
    EXPECT_THAT_ERROR(error([&](Simt s, LaunchShape l) { launch<vote_outside_its_mask>(s, l, y.data()); }, 32),
                      "thread (0,0,0) called __any_sync with mask 0xfffffffe", "caller, lane 0");
    EXPECT_THAT_ERROR(error([&](Simt s, LaunchShape l) { launch<names_an_absent_lane>(s, l, y.data()); }, 16),
                      "__shfl_xor_sync with mask 0xffffffff", "names lane 16", "this warp has 16");
    EXPECT_THAT_ERROR(error([&](Simt s, LaunchShape l) { launch<names_an_exited_lane>(s, l, y.data()); }, 32), "exited",
                      "__shfl_down_sync", "mask 0xffffffff");
    EXPECT_THAT_ERROR(error([&](Simt s, LaunchShape l) { launch<masks_disagree>(s, l, y.data()); }, 32),
                      "__ballot_sync", "mask 0xffffffff", "mask 0xfffffffe", "can never come");
    EXPECT_THAT_ERROR(error([&](Simt s, LaunchShape l) { launch<different_calls>(s, l, y.data()); }, 32),
                      "threads 0-15 in __shfl_sync with mask 0xffffffff at simt_faults_test.cpp:", "threads 16-31 in");
    EXPECT_THAT_ERROR(error([&](Simt s, LaunchShape l) { launch<wrong_width>(s, l, y.data()); }, 32), "width 12",
                      "power of two");
    EXPECT_THAT_ERROR(error([&](Simt s, LaunchShape l) { launch<product_of_half_a_warp>(s, l, f.data()); }, 32),
                      "mma_bf16_16x8x16", "exited");
    expect_healthy(seed);
  }
}

// ---- Out of bounds ----

__global__ void past_static(int at) {
  SHARED(float, before, [4]);
  SHARED(float, tile, [33]);
  before[threadIdx.x % 4] = 0;
  float* p = tile;
  if (threadIdx.x == 0) p[at] = 1.0f;
}
__global__ void past_dynamic(int at) {
  DYNAMIC_SHARED(float, buffer);
  if (threadIdx.x == 5) buffer[at] = 1.0f;
}
__global__ void past_global(float* p, int at) {
  if (threadIdx.x == 31) p[at] = 1.0f;
}
__global__ void read_past_global(const float* p, int at, float* y) { *y = p[at]; }

#if defined(__SANITIZE_ADDRESS__)

class SimtFaultsDeathTest : public testing::Test {
 protected:
  void SetUp() override { testing::FLAGS_gtest_death_test_style = "threadsafe"; }
};

TEST_F(SimtFaultsDeathTest, AddressSanitizerNamesTheLine) {
  for (uint64_t seed = 0; seed < 3; ++seed)
    for (int at : {33, 40, -1}) {
      EXPECT_DEATH(launch<past_static>(Simt{seed}, {1, 32}, at),
                   "use-after-poison[^$]*past_static[^$]*simt_faults_test");
    }
  EXPECT_DEATH(launch<past_dynamic>(Simt{}, {1, 32, 64}, 16), "use-after-poison[^$]*past_dynamic[^$]*simt_faults_test");
  EXPECT_DEATH(launch<past_dynamic>(Simt{}, {1, 32, 62}, 15), "use-after-poison[^$]*past_dynamic[^$]*simt_faults_test");
  EXPECT_DEATH(launch<past_dynamic>(Simt{}, {1, 32, 64}, -1), "use-after-poison[^$]*past_dynamic[^$]*simt_faults_test");
  auto* p = static_cast<float*>(simt::allocate(400));
  float y = 0;
  EXPECT_DEATH(launch<past_global>(Simt{}, {1, 32}, p, 100), "use-after-poison[^$]*past_global[^$]*simt_faults_test");
  EXPECT_DEATH(launch<past_global>(Simt{}, {1, 32}, p, -1), "use-after-poison[^$]*past_global[^$]*simt_faults_test");
  EXPECT_DEATH(launch<read_past_global>(Simt{}, {1, 1}, p, 100, &y), "use-after-poison[^$]*read_past_global");
  simt::deallocate(p, 400);
  EXPECT_DEATH(launch<read_past_global>(Simt{}, {1, 1}, p, 0, &y), "use-after-free[^$]*read_past_global");
}

#else

TEST(SimtFaults, GuardsShowWritesOutOfBounds) {
  auto error = [](auto f) { return text_of(f); };
  for (uint64_t seed = 0; seed < kFaultSchedules; ++seed) {
    for (int at : {33, 34, 60, -1, -20})
      EXPECT_THAT_ERROR(error([&] {
                          launch<past_static>(Simt{seed}, {2, 32}, at);
                        }),
                        "past_static", "block (", "shared memory was written");
    EXPECT_THAT_ERROR(error([&] {
                        launch<past_static>(Simt{seed}, {1, 32}, 33);
                      }),
                      "132 bytes past the start of tile", "which has 132");
    EXPECT_THAT_ERROR(error([&] {
                        launch<past_dynamic>(Simt{seed}, {1, 32, 64}, 16);
                      }),
                      "64 bytes past the start of dynamic shared memory, which has 64");
    EXPECT_THAT_ERROR(error([&] {
                        launch<past_dynamic>(Simt{seed}, {1, 32, 64}, -2);
                      }),
                      "8 bytes before the start of dynamic");
    expect_healthy(seed);
    const size_t before = simt::guard_violations();
    for (int at : {100, 101, 120, -1, -64}) {
      auto* p = static_cast<float*>(simt::allocate(400));
      testing::internal::CaptureStderr();
      launch<past_global>(Simt{seed}, {1, 32}, p, at);
      EXPECT_THAT_ERROR(error([&] { simt::check_guards("past_global", p, 400); }), "past_global", "overrun",
                        at < 0 ? "before an allocation of 400" : "past the end of an allocation of 400");
      simt::deallocate(p, 400);
      EXPECT_NE(testing::internal::GetCapturedStderr().find("overrun"), std::string::npos);
    }
    EXPECT_EQ(simt::guard_violations(), before + 5);
  }
}

// What lies beyond an end is NaN: an overrun that only reads spoils the result.
TEST(SimtFaults, ReadsOutOfBoundsGiveNaN) {
  for (int at : {100, -1, 101}) {
    auto* p = static_cast<float*>(simt::allocate(400));
    std::fill(p, p + 100, 1.0f);
    float y = 0;
    launch<read_past_global>(Simt{}, {1, 1}, p, at, &y);
    EXPECT_TRUE(std::isnan(y));
    simt::deallocate(p, 400);
  }
}

#endif

}  // namespace
}  // namespace holt
