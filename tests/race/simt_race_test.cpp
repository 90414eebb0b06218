// The race checker: kernels with a planted race must end in an Error that names both lines, under every schedule; clean
// ones must pass in silence. Compiled with -fsanitize=thread, as the .cu files are (HOLT_RACE), and run under setarch
// -R.
#include <gtest/gtest.h>

#include <fstream>
#include <numeric>
#include <vector>

#include "kernels/gpu.cuh"
#include "tests/simt_error.h"

namespace holt {
namespace {

constexpr uint64_t kSchedules = 5;

// "simt_race_test.cpp:<line>" of the line of this file that ends in a comment with `text`.
std::string line_of(const std::string& text) {
  std::ifstream file(HOLT_SOURCE_DIR "/tests/race/simt_race_test.cpp");
  std::string line;
  for (int n = 1; std::getline(file, line); ++n)
    if (line.ends_with("// " + text)) return format("simt_race_test.cpp:{}", n);
  return "no such line";
}

// ---- Races ----

__global__ void shared_without_barrier(const float* x, float* y) {
  SHARED(float, tile, [64]);
  const unsigned t = threadIdx.x;
  tile[t] = x[t];                   // shared write
  y[t] = tile[blockDim.x - 1 - t];  // shared read
}

__global__ void shared_without_second_barrier(const float* x, float* y) {
  SHARED(float, tile, [64]);
  const unsigned t = threadIdx.x;
  float sum = 0;
  for (int round = 0; round < 3; ++round) {
    tile[t] = x[t] * round;  // next round's write
    __syncthreads();
    sum += tile[(t + 1) % blockDim.x];  // last round's read
  }
  y[t] = sum;
}

__global__ void warp_without_syncwarp(const float* x, float* y) {
  SHARED(float, tile, [32]);
  const unsigned t = threadIdx.x;
  tile[t] = x[t];                                 // lane's write
  y[t] = tile[__shfl_xor_sync(kFullWarp, t, 1)];  // neighbour's read
}

__global__ void one_word_for_all(float* y) {
  y[0] = float(threadIdx.x);  // everybody's write
}

__global__ void global_within_a_block(float* y) {
  const unsigned t = threadIdx.x;
  y[t] = 1;                                                     // own element
  if (t % 2 == 0) y[blockDim.x + t] = y[(t + 1) % blockDim.x];  // another's element
}

__global__ void global_between_blocks(float* y) {
  const unsigned b = blockIdx.x;
  __syncthreads();
  if (threadIdx.x == b % 3) y[b] = 1;                                   // this block's
  if (threadIdx.x == b % 5) y[gridDim.x + b] = y[(b + 1) % gridDim.x];  // the other block's
}

__global__ void plain_read_of_an_atomic(unsigned* count, unsigned* y) {
  atomicAdd(count, 1u);     // atomic
  y[threadIdx.x] = *count;  // plain
}

__global__ void copy_into_what_is_read(const float* x, float* y) {
  SHARED(alignas(16) float, tile, [2][128]);
  const unsigned t = threadIdx.x;
  cp_async16(&tile[0][4 * t], x + 4 * t);
  cp_async_commit();
  cp_async_wait<0>();
  __syncthreads();
  float sum = tile[0][4 * ((t + 1) % 32)];  // the neighbour still reads
  cp_async16(&tile[0][4 * t], x + 4 * t);   // while the next copy starts
  cp_async_commit();
  cp_async_wait<0>();
  __syncthreads();
  y[t] = sum + tile[0][4 * t];
}

__global__ void vectors_without_barrier(const float* x, float* y) {
  SHARED(alignas(16) float, tile, [128]);
  const unsigned t = threadIdx.x;
  store16(&tile[4 * t], load16(x + 4 * t));  // sixteen bytes written
  y[t] = tile[4 * ((t + 1) % 32) + 3];       // four of them read
}

TEST(SimtRace, IsNamedWithBothLines) {
  std::vector<float> x(132, 1.0f);
  std::vector<float> y(256);
  std::vector<unsigned> u(65);
  float* const aligned = reinterpret_cast<float*>((reinterpret_cast<uintptr_t>(x.data()) + 15) / 16 * 16);
  for (uint64_t seed = 0; seed < kSchedules; ++seed) {
    auto expect = [&](const std::string& kernel, const std::string& one, const std::string& other, auto run) {
      EXPECT_THAT_ERROR(text_of([&] { run(Simt{seed}); }), kernel, "data race", line_of(one), line_of(other))
          << kernel << " schedule " << seed;
    };
    expect("shared_without_barrier", "shared write", "shared read", [&](Simt s) {
      launch<shared_without_barrier>(s, {1, 64}, x.data(), y.data());
    });
    expect("shared_without_second_barrier", "next round's write", "last round's read", [&](Simt s) {
      launch<shared_without_second_barrier>(s, {1, 64}, x.data(), y.data());
    });
    expect("warp_without_syncwarp", "lane's write", "neighbour's read", [&](Simt s) {
      launch<warp_without_syncwarp>(s, {1, 32}, x.data(), y.data());
    });
    expect("one_word_for_all", "everybody's write", "everybody's write", [&](Simt s) {
      launch<one_word_for_all>(s, {1, 64}, y.data());
    });
    expect("global_within_a_block", "own element", "another's element", [&](Simt s) {
      launch<global_within_a_block>(s, {1, 64}, y.data());
    });
    expect("global_between_blocks", "this block's", "the other block's", [&](Simt s) {
      launch<global_between_blocks>(s, {4, 32}, y.data());
    });
    expect("plain_read_of_an_atomic", "atomic", "plain", [&](Simt s) {
      launch<plain_read_of_an_atomic>(s, {1, 64}, u.data() + 64, u.data());
    });
    expect("copy_into_what_is_read", "the neighbour still reads", "while the next copy starts", [&](Simt s) {
      launch<copy_into_what_is_read>(s, {1, 32}, aligned, y.data());
    });
    expect("vectors_without_barrier", "sixteen bytes written", "four of them read", [&](Simt s) {
      launch<vectors_without_barrier>(s, {1, 32}, aligned, y.data());
    });
  }
}

// ---- No race ----

__global__ void every_kind_of_order(const float* x, float* y, float* partial, unsigned* arrived) {
  SHARED(alignas(16) float, tile, [64][4]);
  SHARED(bool, last);
  DYNAMIC_SHARED(float, buffer);
  const unsigned t = threadIdx.x, lane = t % 32, n = blockDim.x;
  const float* const mine = x + 4 * n * blockIdx.x;
  float sum = 0;
  for (int round = 0; round < 2; ++round) {
    cp_async16(tile[t], mine + 4 * t);
    cp_async_commit();
    cp_async_wait<0>();
    __syncthreads();
    sum += tile[n - 1 - t][round];
    buffer[t] = sum;
    __syncwarp();
    sum += buffer[t - lane + (lane + 1) % 32];
    if (__syncthreads_or(sum < 0)) return;
  }
  sum = block_sum(sum);
  if (t == 0) {
    partial[blockIdx.x] = sum;
    __threadfence();
    last = atomicAdd(arrived, 1u) == gridDim.x - 1;
  }
  __syncthreads();
  if (!last) return;
  __threadfence();
  float total = 0;
  for (unsigned b = t; b < gridDim.x; b += n) total += partial[b];
  total = block_sum(total);
  if (t == 0) *y = total;
}

__global__ void add_one(float* y) { y[blockIdx.x * blockDim.x + threadIdx.x] += 1; }

TEST(SimtRace, CorrectKernelsPassInSilence) {
  std::vector<float> storage(4 * 64 * 9 + 4, 1.0f);
  float* const x = reinterpret_cast<float*>((reinterpret_cast<uintptr_t>(storage.data()) + 15) / 16 * 16);
  for (uint64_t seed = 0; seed < kSchedules; ++seed) {
    float y = 0;
    unsigned arrived = 0;
    std::vector<float> partial(9), z(64 * 9);
    testing::internal::CaptureStderr();
    launch<every_kind_of_order>(Simt{seed}, {9, 64, 64 * sizeof(float)}, x, &y, partial.data(), &arrived);
    for (int i = 0; i < 5; ++i) launch<add_one>(Simt{seed}, {9, 64}, z.data());  // launches follow one another
    EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
    EXPECT_GT(y, 0);
    EXPECT_EQ(y, std::accumulate(partial.begin(), partial.end(), 0.0f));
    EXPECT_EQ(z, std::vector<float>(64 * 9, 5.0f));
  }
}

}  // namespace
}  // namespace holt
