// The emulated GPU's memory: shared memory and its limits, asynchronous copies, 16-byte accesses, atomics, allocation.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <set>
#include <vector>

#include "kernels/gpu.cuh"
#include "kernels/simt/memory.h"
#include "tests/simt_error.h"

namespace holt {
namespace {

constexpr uint64_t kMemorySchedules = 10;

// ---- Shared memory ----

__global__ void read_unwritten(int* wrong) {
  SHARED(float, f, [7]);
  SHARED(bf16, b, [5]);
  SHARED(f16, h, [2][3]);
  SHARED(double, d, [2]);
  SHARED(int, i);
  DYNAMIC_SHARED(float, dynamic);
  bool poisoned = i == -1;
  for (float x : f) poisoned &= x != x;
  for (bf16 x : b) poisoned &= float(x) != float(x);
  for (auto& row : h)
    for (f16 x : row) poisoned &= float(x) != float(x);
  for (double x : d) poisoned &= x != x;
  for (int k = 0; k < 9; ++k) poisoned &= dynamic[k] != dynamic[k];
  if (!poisoned) atomicAdd(wrong, 1);
  __syncthreads();
  for (float& x : f) x = 1;
  dynamic[8] = 1;
  i = 1;
}

TEST(SimtShared, StartsAsNaNInEveryBlock) {
  for (uint64_t seed = 0; seed < kMemorySchedules; ++seed) {
    int wrong = 0;
    launch<read_unwritten>(Simt{seed}, {20, 1, 9 * sizeof(float)}, &wrong);
    EXPECT_EQ(wrong, 0);
  }
}

template <int N>
__device__ float* scratch() {
  SHARED(float, buffer, [N]);
  return buffer;
}
__global__ void note_addresses(uintptr_t* out) {
  SHARED(alignas(16) float, tile, [4][8]);
  SHARED(float, single);
  SHARED(Vec<bf16>, vectors, [3]);
  DYNAMIC_SHARED(double, dynamic);
  uintptr_t* mine = out + 6 * threadIdx.x;
  mine[0] = reinterpret_cast<uintptr_t>(&tile);
  mine[1] = reinterpret_cast<uintptr_t>(&single);
  mine[2] = reinterpret_cast<uintptr_t>(&vectors);
  mine[3] = reinterpret_cast<uintptr_t>(dynamic);
  mine[4] = reinterpret_cast<uintptr_t>(scratch<4>());
  mine[5] = reinterpret_cast<uintptr_t>(scratch<8>());  // another instantiation, another variable
}

TEST(SimtShared, IsOneVariableForTheWholeBlock) {
  for (uint64_t seed = 0; seed < kMemorySchedules; ++seed) {
    std::vector<uintptr_t> out(6 * 64);
    launch<note_addresses>(Simt{seed}, {1, 64, 256}, out.data());
    for (int t = 0; t < 64; ++t)
      for (int v = 0; v < 6; ++v) ASSERT_EQ(out[6 * t + v], out[v]);
    EXPECT_EQ(std::set(out.begin(), out.end()).size(), 6u);
    EXPECT_EQ(out[0] % 16, 0u);
    EXPECT_NE(out[1] % 16, 0u);  // not by luck
    EXPECT_EQ(out[2] % 16, 0u);
    EXPECT_EQ(out[3] % 16, 0u);
  }
}

template <int Bytes>
__global__ void use_shared(int* runs) {
  SHARED(char, buffer, [Bytes]);
  buffer[Bytes - 1] = 1;
  if (threadIdx.x == 0) atomicAdd(runs, 1);
}

TEST(SimtShared, HoldsToCudasLimits) {
  int runs = 0;
  launch<use_shared<48 * 1024>>(Simt{}, {1, 32}, &runs);
  launch<use_shared<20 * 1024>>(Simt{}, {1, 32, 28 * 1024}, &runs);
  launch<use_shared<20 * 1024>>(Simt{}, {1, 32, 207 * 1024}, &runs);  // more than 48 KB asks for more by itself
  EXPECT_EQ(runs, 3);
  EXPECT_THAT_ERROR(text_of([&] {
                      launch<use_shared<48 * 1024 + 1>>(Simt{}, {1, 32}, &runs);
                    }),
                    "use_shared", "49153", "static");
  EXPECT_THAT_ERROR(text_of([&] {
                      launch<use_shared<20 * 1024>>(Simt{}, {1, 32, 28 * 1024 + 1}, &runs);
                    }),
                    "20480", "28673", "49152");
  EXPECT_THAT_ERROR(text_of([&] { launch<use_shared<20 * 1024>>(Simt{}, {1, 32, 207 * 1024 + 1}, &runs); }), "232448");
  EXPECT_EQ(runs, 3);
}

// ---- cp.async ----

__global__ void copy_in_two_groups(const float* x, float* seen) {
  SHARED(alignas(16) float, tile, [12]);
  if (threadIdx.x != 0) return;
  int n = 0;
  auto look = [&] {
    for (int k = 0; k < 3; ++k) seen[n++] = tile[4 * k + 3];
  };
  cp_async16(tile, x);
  look();  // under way
  cp_async_commit();
  cp_async16_or_zero(tile + 4, x + 4, true);
  cp_async16_or_zero(tile + 8, x + 8, false);
  cp_async_commit();
  look();
  cp_async_wait<1>();  // all but the newest group
  look();
  cp_async_wait<0>();
  look();
  cp_async16(tile, x + 8);
  cp_async_wait<0>();  // never committed: not waited for
  look();
  cp_async_commit();
  cp_async_wait<0>();
  look();
}

TEST(SimtAsyncCopy, LandsAtItsWaitAndNotBefore) {
  alignas(16) const float x[12] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
  std::vector<float> seen(18);
  launch<copy_in_two_groups>(Simt{}, {1, 32}, x, seen.data());
  const float expected[6][3] = {{NAN, NAN, NAN}, {NAN, NAN, NAN}, {3, NAN, NAN}, {3, 7, 0}, {3, 7, 0}, {11, 7, 0}};
  for (int i = 0; i < 6; ++i)
    for (int k = 0; k < 3; ++k)
      EXPECT_TRUE(std::isnan(expected[i][k]) ? std::isnan(seen[3 * i + k]) : seen[3 * i + k] == expected[i][k])
          << "look " << i << " third " << k << ": " << seen[3 * i + k];
}

// Copies of a thread that has gone never land, and its successor on the same fiber does not inherit them.
__global__ void leave_copies_behind(const float* x, float* y) {
  SHARED(alignas(16) float, tile, [64][4]);
  cp_async16(tile[threadIdx.x], x);
  cp_async_commit();
  if (threadIdx.x % 2) return;
  cp_async_wait<0>();
  y[threadIdx.x] = tile[threadIdx.x][1];
  y[threadIdx.x + 1] = tile[threadIdx.x + 1][1];
}

TEST(SimtAsyncCopy, BelongsToItsThread) {
  alignas(16) const float x[4] = {1, 2, 3, 4};
  for (uint64_t seed = 0; seed < kMemorySchedules; ++seed) {
    std::vector<float> y(64);
    launch<leave_copies_behind>(Simt{seed}, {3, 64}, x, y.data());
    for (int i = 0; i < 64; ++i) ASSERT_TRUE(i % 2 ? std::isnan(y[i]) : y[i] == 2);
  }
}

__global__ void copy_misaligned(const float* x, int shared_off, int global_off) {
  SHARED(alignas(16) float, tile, [8]);
  cp_async16(tile + shared_off, x + global_off);
}

// ---- 16-byte accesses ----

__global__ void move_vectors(const bf16* x, bf16* y, int off) { store16(y + off, load16(x)); }

TEST(SimtVectors, MoveSixteenBytesAndWantThemAligned) {
  alignas(16) bf16 x[16], y[16];
  for (int i = 0; i < 16; ++i) x[i] = bf16(float(i)), y[i] = bf16(-1.0f);
  launch<move_vectors>(Simt{}, {1, 1}, x, y, 8);
  for (int i = 0; i < 16; ++i) EXPECT_EQ(float(y[i]), i < 8 ? -1.0f : i - 8);
  EXPECT_THAT_ERROR(text_of([&] {
                      launch<move_vectors>(Simt{}, {1, 1}, x, y, 1);
                    }),
                    "move_vectors", "16-byte", "2 past");
  EXPECT_THAT_ERROR(text_of([&] { launch<move_vectors>(Simt{}, {1, 1}, x + 2, y, 0); }), "16-byte", "4 past");
  alignas(16) float f[8] = {};
  EXPECT_THAT_ERROR(text_of([&] { launch<copy_misaligned>(Simt{}, {1, 1}, f, 1, 0); }), "cp_async16", "shared", "4 ");
  EXPECT_THAT_ERROR(text_of([&] { launch<copy_misaligned>(Simt{}, {1, 1}, f, 0, 2); }), "cp_async16", "global", "8 ");
}

__global__ void vector_in_plain_array(float* y) {
  SHARED(float, tile, [16]);
  tile[threadIdx.x] = 0;
  store16(y, load16(tile));
}

TEST(SimtVectors, AnUnalignedSharedArrayFailsEveryTime) {
  alignas(16) float y[4];
  for (uint64_t seed = 0; seed < kMemorySchedules; ++seed)
    EXPECT_THAT_ERROR(text_of([&] { launch<vector_in_plain_array>(Simt{seed}, {1, 16}, y); }), "16-byte");
}

// ---- Atomics ----

template <class T>
struct Atomics {
  T add, min, max, exchange, cas;
};

template <class T>
__global__ void use_atomics(Atomics<T>* a, int* seen) {
  const T t = T(blockIdx.x * blockDim.x + threadIdx.x);
  atomicAdd(&seen[static_cast<int>(atomicAdd(&a->add, T(1)))], 1);  // every old value once
  atomicMin(&a->min, T(5) + t);
  atomicMax(&a->max, t);
  T old = a->exchange;
  if constexpr (!std::is_same_v<T, long long>) {
    atomicExch(&a->exchange, t);
    T expected = atomicCAS(&a->cas, T(0), T(0));
    while ((old = atomicCAS(&a->cas, expected, expected + 2)) != expected) expected = old;
  }
}

template <class T>
void check_atomics() {
  for (uint64_t seed = 0; seed < kMemorySchedules; ++seed) {
    Atomics<T> a{0, T(1000000), 0, T(-1), 0};
    std::vector<int> seen(4096);
    launch<use_atomics<T>>(Simt{seed}, {16, 256}, &a, seen.data());
    EXPECT_EQ(a.add, T(4096));
    EXPECT_EQ(a.min, T(5));
    EXPECT_EQ(a.max, T(4095));
    EXPECT_TRUE(a.exchange >= T(0) && a.exchange < T(4096));
    EXPECT_EQ(a.cas, T(2 * 4096));
    EXPECT_EQ(seen, std::vector<int>(4096, 1));
  }
}

TEST(SimtAtomics, CountAcrossBlocks) {
  check_atomics<int>();
  check_atomics<unsigned>();
  check_atomics<unsigned long long>();
}

template <class T>
__global__ void add_ones(T* sum) {
  atomicAdd(sum, T(0.25));
}
__global__ void bit_atomics(unsigned* b, int* s) {
  atomicOr(&b[0], 1u << threadIdx.x);
  atomicAnd(&b[1], ~(1u << threadIdx.x));
  atomicXor(&b[2], 1u << threadIdx.x % 16);
  atomicSub(s, 3);
}

TEST(SimtAtomics, FloatsAndBits) {
  float f = 0;
  double d = 0;
  launch<add_ones<float>>(Simt{1}, {16, 256}, &f);
  launch<add_ones<double>>(Simt{1}, {16, 256}, &d);
  EXPECT_EQ(f, 1024.0f);
  EXPECT_EQ(d, 1024.0);
  unsigned b[3] = {0, ~0u, 0xf0f0f0f0u};
  int s = 96;
  launch<bit_atomics>(Simt{1}, {1, 32}, b, &s);
  EXPECT_EQ(b[0], ~0u);
  EXPECT_EQ(b[1], 0u);
  EXPECT_EQ(b[2], 0xf0f0f0f0u);
  EXPECT_EQ(s, 0);
}

__global__ void add_pairs(bf16* p, uint32_t* old) { old[threadIdx.x] = atomic_add_bf16x2(p, bf16(1.0f), bf16(-0.5f)); }

TEST(SimtAtomics, PairsOfBf16) {
  alignas(4) bf16 p[4] = {bf16(7.0f), bf16(1.0f), bf16(2.0f), bf16(7.0f)};
  std::vector<uint32_t> old(64);
  launch<add_pairs>(Simt{2}, {1, 64}, p, old.data());
  EXPECT_EQ(float(p[0]), 71.0f);
  EXPECT_EQ(float(p[1]), -31.0f);
  EXPECT_EQ(float(p[2]), 2.0f);
  std::set<float> lows;
  for (uint32_t x : old) {
    bf16 low;
    low.bits = static_cast<uint16_t>(x);
    lows.insert(low);
  }
  EXPECT_EQ(lows.size(), 64u);
  bf16 big[2] = {bf16(256.0f), bf16(1.0f)};  // 257 is no bf16: the sum is rounded to even
  launch<add_pairs>(Simt{2}, {1, 1}, big, old.data());
  EXPECT_EQ(float(big[0]), 256.0f);
  EXPECT_EQ(float(big[1]), 0.5f);
}

// ---- Device memory ----

TEST(SimtMemory, IsAlignedAndPoisoned) {
  for (size_t bytes : {size_t{0}, size_t{1}, size_t{63}, size_t{64}, size_t{1000}, size_t{1} << 20}) {
    auto* p = static_cast<unsigned char*>(simt::allocate(bytes));
    ASSERT_NE(p, nullptr);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(p) % 64, 0u);
    for (size_t i = 0; i < bytes; ++i) ASSERT_EQ(p[i], 0xff);
    std::memset(p, 0, bytes);
    EXPECT_NO_THROW(simt::check_guards("test", p, bytes));
    simt::deallocate(p, bytes);
  }
  simt::deallocate(nullptr, 5);
  EXPECT_EQ(simt::allocate(SIZE_MAX - 100), nullptr);
  EXPECT_EQ(simt::guard_violations(), 0u);
}

}  // namespace
}  // namespace holt
