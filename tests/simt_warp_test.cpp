// The emulated GPU's warp primitives, each against its definition: partial warps, masks, widths, several schedules.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <vector>

#include "kernels/gpu.cuh"
#include "tests/simt_error.h"

namespace holt {
namespace {

constexpr uint64_t kWarpSchedules = 10;
constexpr int kSizes[] = {1, 5, 31, 32, 33, 64, 100, 256};

int lanes_in_warp_of(int thread, int threads) { return std::min(32, threads - thread / 32 * 32); }

// The lanes that exist in the caller's warp.
__device__ unsigned whole_warp() {
  const unsigned lanes = min(32u, blockDim.x - threadIdx.x / 32 * 32);
  return lanes == 32 ? kFullWarp : (1u << lanes) - 1;
}

template <class T>
__global__ void shuffle_all(int argument, int width, T* out) {
  const int t = threadIdx.x, n = blockDim.x;
  const T x = T(1000 + t);
  const unsigned mask = whole_warp();
  out[t] = __shfl_sync(mask, x, argument, width);
  out[n + t] = __shfl_up_sync(mask, x, argument, width);
  out[2 * n + t] = __shfl_down_sync(mask, x, argument, width);
  out[3 * n + t] = __shfl_xor_sync(mask, x, argument, width);
}

// From PTX's definition of shfl: the segment of `width` lanes around the caller; a source outside of it gives the own
// value. A source in the segment that does not exist gives nothing that a test could hold on to.
template <class T>
void check_shuffles(int threads, int argument, int width, uint64_t seed) {
  std::vector<T> out(4 * threads);
  launch<shuffle_all<T>>(Simt{seed}, {1, threads}, argument, width, out.data());
  for (int t = 0; t < threads; ++t) {
    const int lane = t % 32, base = t - lane, first = lane / width * width;
    const int sources[4] = {first + argument % width, lane - argument < first ? lane : lane - argument,
                            lane + argument >= first + width ? lane : lane + argument,
                            (lane ^ argument) >= first + width ? lane : (lane ^ argument)};
    for (int k = 0; k < 4; ++k) {
      if (sources[k] >= lanes_in_warp_of(t, threads)) continue;
      ASSERT_EQ(out[k * threads + t], T(1000 + base + sources[k]))
          << "kind " << k << " thread " << t << " of " << threads << ", argument " << argument << ", width " << width;
    }
  }
}

TEST(SimtShuffle, EveryKindWidthAndPartialWarp) {
  for (int threads : kSizes)
    for (int width = 1; width <= 32; width *= 2)
      for (int argument : {0, 1, 2, 7, 16, 31}) check_shuffles<int>(threads, argument, width, argument);
}

TEST(SimtShuffle, EveryType) {
  for (uint64_t seed = 0; seed < kWarpSchedules; ++seed) {
    check_shuffles<int>(64, 3, 32, seed);
    check_shuffles<unsigned>(64, 3, 8, seed);
    check_shuffles<float>(64, 3, 32, seed);
    check_shuffles<double>(64, 5, 16, seed);
    check_shuffles<long long>(64, 5, 32, seed);
    check_shuffles<unsigned long long>(64, 5, 32, seed);
    check_shuffles<int64_t>(33, 5, 32, seed);
  }
}

__global__ void read_outside_mask(float* out) {
  if (threadIdx.x < 16) out[threadIdx.x] = __shfl_down_sync(0xffffu, float(threadIdx.x), 8);
}

TEST(SimtShuffle, FromALaneOutsideTheMaskGivesNaN) {
  for (uint64_t seed = 0; seed < kWarpSchedules; ++seed) {
    std::vector<float> out(16);
    launch<read_outside_mask>(Simt{seed}, {1, 32}, out.data());
    for (int t = 0; t < 16; ++t) EXPECT_TRUE(t < 8 ? out[t] == t + 8 : std::isnan(out[t])) << t;
  }
}

// Halves of a warp go their own ways, with different numbers of steps, and meet again.
__global__ void halves_apart(int* out) {
  const int lane = threadIdx.x % 32;
  int x = threadIdx.x;
  if (lane < 16) {
    for (int offset = 8; offset > 0; offset /= 2) x += __shfl_xor_sync(0x0000ffffu, x, offset);
  } else {
    for (int i = 0; i < 3; ++i) x = __shfl_sync(0xffff0000u, x, 16 + (lane + 1) % 16);
  }
  out[threadIdx.x] = x + 1000 * __shfl_sync(kFullWarp, x, 16);
}

TEST(SimtShuffle, DisjointMasksDoNotWaitForEachOther) {
  for (uint64_t seed = 0; seed < kWarpSchedules; ++seed) {
    std::vector<int> out(96);
    launch<halves_apart>(Simt{seed}, {1, 96}, out.data());
    for (int t = 0; t < 96; ++t) {
      const int base = t / 32 * 32, lane = t % 32;
      const int low = 16 * base + 120, high = base + 16 + (lane + 3) % 16;
      ASSERT_EQ(out[t], (lane < 16 ? low : high) + 1000 * (base + 19)) << t;
    }
  }
}

__global__ void votes(unsigned chosen, unsigned* out) {
  const int t = threadIdx.x, n = blockDim.x;
  const unsigned mask = whole_warp();
  const bool yes = chosen >> t % 32 & 1;
  out[t] = __ballot_sync(mask, yes);
  out[n + t] = __any_sync(mask, yes);
  out[2 * n + t] = __all_sync(mask, yes);
}

TEST(SimtVotes, AgreeWithTheirDefinition) {
  for (int threads : kSizes)
    for (unsigned chosen : {0u, 1u, 0x80000001u, 0x0000ffffu, 0xffffffffu})
      for (uint64_t seed = 0; seed < 3; ++seed) {
        std::vector<unsigned> out(3 * threads);
        launch<votes>(Simt{seed}, {1, threads}, chosen, out.data());
        for (int t = 0; t < threads; ++t) {
          const int lanes = lanes_in_warp_of(t, threads);
          const unsigned there = lanes == 32 ? ~0u : (1u << lanes) - 1;
          ASSERT_EQ(out[t], chosen & there);
          ASSERT_EQ(out[threads + t], (chosen & there) != 0);
          ASSERT_EQ(out[2 * threads + t], (chosen & there) == there);
        }
      }
}

template <class T>
__global__ void matches(int groups, unsigned* out) {
  const int t = threadIdx.x, n = blockDim.x;
  const unsigned mask = whole_warp();
  int equal = -1;
  out[t] = __match_any_sync(mask, T(t % groups) / T(2));
  out[n + t] = __match_all_sync(mask, T(t % groups), &equal);
  out[2 * n + t] = equal;
}

template <class T>
void check_matches() {
  for (int threads : kSizes)
    for (int groups : {1, 2, 6, 32}) {
      std::vector<unsigned> out(3 * threads);
      launch<matches<T>>(Simt{7}, {1, threads}, groups, out.data());
      for (int t = 0; t < threads; ++t) {
        const int lanes = lanes_in_warp_of(t, threads), base = t / 32 * 32;
        unsigned same = 0, there = 0, whole = 0;
        for (int l = 0; l < lanes; ++l) {
          there |= 1u << l;
          if (T((base + l) % groups) / T(2) == T(t % groups) / T(2)) same |= 1u << l;
          if ((base + l) % groups == t % groups) whole |= 1u << l;
        }
        ASSERT_EQ(out[t], same);
        ASSERT_EQ(out[threads + t], whole == there ? there : 0);
        ASSERT_EQ(out[2 * threads + t], whole == there);
      }
    }
}

TEST(SimtMatch, AgreesWithItsDefinition) {
  check_matches<int>();
  check_matches<float>();
  check_matches<unsigned long long>();
  check_matches<double>();
}

__global__ void active(unsigned* out) {
  const int lane = threadIdx.x % 32;
  if (lane % 3 == 0)
    out[threadIdx.x] = __activemask();
  else if (lane % 3 == 1)
    out[threadIdx.x] = __activemask();
  else
    __syncwarp(0x24924924u);  // a lane that waits elsewhere is not active
  out[blockDim.x + threadIdx.x] = __popc(__ballot_sync(whole_warp(), 1));
}

TEST(SimtActiveMask, NamesTheLanesThatAreThereTogether) {
  for (uint64_t seed = 0; seed < kWarpSchedules; ++seed) {
    std::vector<unsigned> out(128);
    launch<active>(Simt{seed}, {1, 64}, out.data());
    for (int t = 0; t < 64; ++t) {
      unsigned expected = 0;
      for (int l = t % 32 % 3; l < 32; l += 3) expected |= 1u << l;
      if (t % 32 % 3 < 2) { ASSERT_EQ(out[t], expected) << t; }
      ASSERT_EQ(out[64 + t], 32u);
    }
  }
}

// A warp's own barrier orders its lanes' accesses to shared memory, and only its lanes'.
__global__ void rotate_in_warp(const int* x, int* y) {
  SHARED(int, tile, [1024]);
  const int t = threadIdx.x, lane = t % 32, base = t - lane;
  for (int round = 0; round < 4; ++round) {
    tile[t] = round == 0 ? x[t] : y[t];
    __syncwarp();
    y[t] = tile[base + (lane + 1) % 32];
    __syncwarp();
  }
}

TEST(SimtSyncwarp, OrdersAWarp) {
  std::vector<int> x(256), y(256);
  for (int i = 0; i < 256; ++i) x[i] = 3 * i;
  for (uint64_t seed = 0; seed < kWarpSchedules; ++seed) {
    launch<rotate_in_warp>(Simt{seed}, {1, 256}, x.data(), y.data());
    for (int i = 0; i < 256; ++i) ASSERT_EQ(y[i], x[i / 32 * 32 + (i + 4) % 32]);
  }
}

template <class T>
__global__ void product(const T* a, const T* b, const float* c, float* d) {
  const int lane = threadIdx.x, g = lane / 4, t = lane % 4;
  auto pair = [](T low, T high) { return uint32_t{low.bits} | uint32_t{high.bits} << 16; };
  auto pair_a = [&](int row, int k) { return pair(a[row * 16 + k], a[row * 16 + k + 1]); };
  auto pair_b = [&](int k, int column) { return pair(b[k * 8 + column], b[(k + 1) * 8 + column]); };
  const uint32_t fa[4] = {pair_a(g, 2 * t), pair_a(g + 8, 2 * t), pair_a(g, 2 * t + 8), pair_a(g + 8, 2 * t + 8)};
  const uint32_t fb[2] = {pair_b(2 * t, g), pair_b(2 * t + 8, g)};
  float fd[4];
  for (int i = 0; i < 4; ++i) fd[i] = c[(g + 8 * (i / 2)) * 8 + 2 * t + i % 2];
  if constexpr (std::is_same_v<T, bf16>)
    mma_bf16_16x8x16(fd, fa, fb);
  else
    mma_f16_16x8x16(fd, fa, fb);
  for (int i = 0; i < 4; ++i) d[(g + 8 * (i / 2)) * 8 + 2 * t + i % 2] = fd[i];
}

template <class T>
void check_product() {
  std::vector<T> a(16 * 16), b(16 * 8);
  std::vector<float> c(16 * 8), d(16 * 8);
  for (int i = 0; i < 256; ++i) a[i] = T(float(i * 37 % 23 - 11));
  for (int i = 0; i < 128; ++i) b[i] = T(float(i * 29 % 19 - 9) / 4), c[i] = float(i);
  for (uint64_t seed = 0; seed < kWarpSchedules; ++seed) {
    launch<product<T>>(Simt{seed}, {1, 32}, a.data(), b.data(), c.data(), d.data());
    for (int i = 0; i < 16; ++i)
      for (int j = 0; j < 8; ++j) {
        double sum = c[i * 8 + j];
        for (int k = 0; k < 16; ++k) sum += double(float(a[i * 16 + k])) * double(float(b[k * 8 + j]));
        ASSERT_EQ(d[i * 8 + j], sum) << i << "," << j;  // quarters of small integers: exact
      }
  }
}

TEST(SimtMma, MultipliesInTheDocumentedLayout) {
  check_product<bf16>();
  check_product<f16>();
}

__global__ void bits(unsigned x, int* out) {
  out[0] = __popc(x);
  out[1] = __clz(static_cast<int>(x));
  out[2] = __ffs(static_cast<int>(x));
  out[3] = static_cast<int>(__brev(x));
  out[4] = __float_as_int(rsqrtf(4.0f));
  out[5] = static_cast<int>(__umulhi(x, x));
  out[6] = static_cast<int>(max(-1, 1u));  // mixed signs compare as unsigned
  out[7] = static_cast<int>(min(NAN, 2.0f));
  out[8] = __ldg(&out[0]);
  out[9] = static_cast<int>(__saturatef(7.0f) + __saturatef(-7.0f) + __saturatef(NAN));
  out[10] = __mulhi(-5, 3);
}

TEST(SimtMath, HasWhatAHostLacks) {
  int out[11] = {};
  launch<bits>(Simt{}, {1, 1}, 0x00f00000u, out);
  EXPECT_EQ(out[0], 4);
  EXPECT_EQ(out[1], 8);
  EXPECT_EQ(out[2], 21);
  EXPECT_EQ(out[3], 0x00000f00);
  EXPECT_EQ(std::bit_cast<float>(out[4]), 0.5f);
  EXPECT_EQ(out[5], 0xe100);
  EXPECT_EQ(out[6], -1);
  EXPECT_EQ(out[7], 2);
  EXPECT_EQ(out[8], 4);
  EXPECT_EQ(out[9], 1);
  EXPECT_EQ(out[10], -1);
  launch<bits>(Simt{}, {1, 1}, 0u, out);
  EXPECT_EQ(out[0], 0);
  EXPECT_EQ(out[1], 32);
  EXPECT_EQ(out[2], 0);
}

}  // namespace
}  // namespace holt
