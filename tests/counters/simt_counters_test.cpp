// The counters, on kernels whose numbers follow from their addresses by hand. Compiled as the counted kernels are
// (HOLT_COUNTERS), so the lanes' accesses below are the real instrumentation's.
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <string>

#include "kernels/gpu.cuh"
#include "kernels/simt/counters.h"
#include "kernels/simt/request.h"
#include "tests/simt_error.h"

namespace holt {
namespace {

using simt::Access;
using simt::Counting;
using simt::KernelCounts;
using simt::LineCounts;
using simt::Space;

// Device memory of one kernel's input and output.
struct Memory {
  Workspace in{Device::simt, 1 << 16}, out{Device::simt, 1 << 16};
  float* x = in.as<float>();
  float* y = out.as<float>();
};

// The line of this file that ends in a comment with `text`.
int line_of(const std::string& text) {
  std::ifstream file(HOLT_SOURCE_DIR "/tests/counters/simt_counters_test.cpp");
  std::string line;
  for (int n = 1; std::getline(file, line); ++n)
    if (line.ends_with("// " + text)) return n;
  return 0;
}

// What the line marked `text` asked for; all zero if nothing was counted there.
LineCounts at(const KernelCounts& k, const std::string& text, Space space, Access access) {
  for (const LineCounts& l : k.lines)
    if (l.file == "simt_counters_test.cpp" && l.line == line_of(text) && l.space == space && l.access == access)
      return l;
  return {};
}

// Runs one block of `threads` and gives the only kernel's counts.
template <auto Kernel, class... A>
KernelCounts count(int threads, A... args) {
  const Counting counting;
  launch<Kernel>(Simt{3}, {1, threads, 32 * 1024}, args...);
  const auto all = counting.result();
  EXPECT_EQ(all.size(), 1u);
  return all.at(0);
}

// ---- Global memory ----

__global__ void strided(const float* x, float* y, int stride, int offset) {
  y[threadIdx.x] = x[threadIdx.x * stride + offset];  // strided read
}

TEST(SimtCounters, SectorsOfARequest) {
  const Memory m;
  const struct {
    int stride, offset;
    uint64_t sectors, ideal;
  } known[] = {
      {1, 0, 4, 4},    // 128 bytes in a row
      {1, 1, 5, 4},    // the same, misaligned by 4 bytes
      {2, 0, 8, 4},    // every other float
      {8, 0, 32, 4},   // a sector each
      {32, 0, 32, 4},  // and no more than that
      {0, 5, 1, 1},    // broadcast
  };
  for (const auto& k : known) {
    const KernelCounts c = count<strided>(32, m.x, m.y, k.stride, k.offset);
    EXPECT_EQ(c.kernel, "strided");
    const LineCounts read = at(c, "strided read", Space::global, Access::read);
    EXPECT_EQ(read.requests, 1u) << k.stride;
    EXPECT_EQ(read.lanes, 32u) << k.stride;
    EXPECT_EQ(read.bytes, 128u) << k.stride;
    EXPECT_EQ(read.cost, k.sectors) << k.stride;
    EXPECT_EQ(read.ideal, k.ideal) << k.stride;
    const LineCounts write = at(c, "strided read", Space::global, Access::write);
    EXPECT_EQ(write.requests, 1u);
    EXPECT_EQ(write.cost, 4u);
    EXPECT_EQ(c.read_once, 32 * k.sectors);
    EXPECT_EQ(c.written_once, 128u);
  }
}

__global__ void vectors(const float* x, float* y) {
  const Vec<float> v = load16(x + 4 * threadIdx.x);  // sixteen bytes
  store16(y + 4 * threadIdx.x, v);
}

TEST(SimtCounters, SixteenByteLoads) {
  const Memory m;
  const KernelCounts c = count<vectors>(64, m.x, m.y);
  const LineCounts read = at(c, "sixteen bytes", Space::global, Access::read);
  EXPECT_EQ(read.requests, 2u);
  EXPECT_EQ(read.cost, 32u);
  EXPECT_EQ(read.ideal, 32u);
  EXPECT_EQ(read.bytes, 1024u);
}

__global__ void some_lanes(const float* x, float* y) {
  if (threadIdx.x % 4 != 0) return;
  y[threadIdx.x] = x[threadIdx.x];  // a quarter of the lanes
}

TEST(SimtCounters, InactiveLanesAskForNothing) {
  const Memory m;
  const LineCounts read = at(count<some_lanes>(32, m.x, m.y), "a quarter of the lanes", Space::global, Access::read);
  EXPECT_EQ(read.requests, 1u);
  EXPECT_EQ(read.lanes, 8u);
  EXPECT_EQ(read.bytes, 32u);
  EXPECT_EQ(read.cost, 4u);
  EXPECT_EQ(read.ideal, 1u);
  // Half a warp is a warp whose other lanes do not exist.
  EXPECT_EQ(at(count<some_lanes>(16, m.x, m.y), "a quarter of the lanes", Space::global, Access::read).lanes, 4u);
}

__global__ void walk(const float* x, float* y, int n) {
  float sum = 0;
  for (int i = threadIdx.x; i < n; i += blockDim.x) sum += x[i];  // a walk
  y[threadIdx.x] = sum;
}

TEST(SimtCounters, TheNthTurnOfALoopIsOneRequest) {
  const Memory m;
  const KernelCounts c = count<walk>(64, m.x, m.y, 400);  // six full turns, then 16 threads
  const LineCounts read = at(c, "a walk", Space::global, Access::read);
  EXPECT_EQ(read.requests, 13u);
  EXPECT_EQ(read.lanes, 400u);
  EXPECT_EQ(read.cost, 50u);
  EXPECT_EQ(c.read_once, 1600u);
}

__global__ void twice(const float* x, float* y) {
  for (int i = 0; i < 2; ++i) {
    y[threadIdx.x] = x[threadIdx.x] + i;  // the same again
    __syncthreads();
  }
}

TEST(SimtCounters, TotalAndUniqueBytes) {
  const Memory m;
  const KernelCounts c = count<twice>(32, m.x, m.y);
  EXPECT_EQ(c.total(Space::global, Access::read).cost, 8u);
  EXPECT_EQ(c.read_once, 128u);
  EXPECT_EQ(c.total(Space::global, Access::write).cost, 8u);
  EXPECT_EQ(c.written_once, 128u);
}

__global__ void add_to_one(unsigned* x) {
  atomicAdd(x, 1u);  // an atomic
}

TEST(SimtCounters, Atomics) {
  const Memory m;
  unsigned* const x = m.in.as<unsigned>();
  *x = 5;
  const KernelCounts c = count<add_to_one>(32, x);
  EXPECT_EQ(*x, 37u);
  const LineCounts atomic = at(c, "an atomic", Space::global, Access::atomic);
  EXPECT_EQ(atomic.requests, 1u);
  EXPECT_EQ(atomic.lanes, 32u);
  EXPECT_EQ(atomic.cost, 1u);
}

// ---- Shared memory ----

template <int Pitch>
__global__ void transpose(float* y) {
  SHARED(float, tile, [32][Pitch]);
  const unsigned lane = threadIdx.x % 32, row = threadIdx.x / 32;
  tile[row][lane] = float(lane);  // along the row
  __syncthreads();
  y[threadIdx.x] = tile[lane][row];  // down the column
}

TEST(SimtCounters, BankConflictsOfATranspose) {
  const Memory m;
  for (const auto& [c, conflict] :
       {std::pair{count<transpose<32>>(1024, m.y), 32}, {count<transpose<33>>(1024, m.y), 1}}) {
    const LineCounts along = at(c, "along the row", Space::shared, Access::write),
                     down = at(c, "down the column", Space::shared, Access::read);
    EXPECT_EQ(along.requests, 32u);
    EXPECT_EQ(along.cost, 32u);
    EXPECT_EQ(down.requests, 32u);
    EXPECT_EQ(down.cost, 32u * conflict);
    EXPECT_EQ(down.ideal, 32u);
  }
}

__global__ void wide(float* y, int stride) {
  SHARED(alignas(16) float, tile, [32 * 8]);
  store16(tile + stride * threadIdx.x, Vec<float>{});  // four words
  __syncthreads();
  y[threadIdx.x] = tile[0];  // one word for all
}

TEST(SimtCounters, WideAccessesGoByQuarters) {
  const Memory m;
  for (const auto& [stride, wavefronts] : {std::pair{4, 4u}, {8, 8u}}) {
    const KernelCounts c = count<wide>(32, m.y, stride);
    const LineCounts write = at(c, "four words", Space::shared, Access::write);
    EXPECT_EQ(write.requests, 1u);
    EXPECT_EQ(write.cost, wavefronts);
    EXPECT_EQ(write.ideal, 4u);
    EXPECT_EQ(at(c, "one word for all", Space::shared, Access::read).cost, 1u);
  }
}

template <int Pitch>
__global__ void matrices(float* y) {
  DYNAMIC_SHARED(bf16, tile);
  for (int i = threadIdx.x; i < 16 * Pitch; i += 32) tile[i] = bf16(1.0f);
  __syncthreads();
  uint32_t r[4];
  ldmatrix_x4(r, tile + threadIdx.x % 16 * Pitch + threadIdx.x / 16 * 8);        // sixteen rows
  ldmatrix_x4_trans(r, tile + threadIdx.x % 16 * Pitch + threadIdx.x / 16 * 8);  // and transposed
  y[threadIdx.x] = float(r[0]);
}

// A row of 64 bf16 is 128 bytes: all rows of a tile begin in one bank. With 8 more each begins 4 banks on.
TEST(SimtCounters, LdmatrixIsFourTilesOfEightRows) {
  const Memory m;
  for (const auto& [c, wavefronts] : {std::pair{count<matrices<64>>(32, m.y), 32u}, {count<matrices<72>>(32, m.y), 4u}})
    for (const char* line : {"sixteen rows", "and transposed"}) {
      const LineCounts l = at(c, line, Space::shared, Access::read);
      EXPECT_EQ(l.requests, 1u) << line;
      EXPECT_EQ(l.bytes, 512u) << line;
      EXPECT_EQ(l.cost, wavefronts) << line;
      EXPECT_EQ(l.ideal, 4u) << line;
    }
}

__global__ void copies(const float* x, float* y) {
  SHARED(alignas(16) float, tile, [128]);
  cp_async16_or_zero(tile + 4 * threadIdx.x, x + 4 * threadIdx.x, threadIdx.x < 16);  // half of them read
  cp_async_commit();
  cp_async_wait<0>();  // here they land
  __syncthreads();
  y[threadIdx.x] = tile[threadIdx.x];
}

TEST(SimtCounters, AsynchronousCopiesCountWhereTheyStart) {
  const Memory m;
  const KernelCounts c = count<copies>(32, m.x, m.y);
  const LineCounts read = at(c, "half of them read", Space::global, Access::read),
                   write = at(c, "half of them read", Space::shared, Access::write);
  EXPECT_EQ(read.requests, 1u);
  EXPECT_EQ(read.lanes, 16u);
  EXPECT_EQ(read.cost, 8u);
  EXPECT_EQ(write.requests, 1u);
  EXPECT_EQ(write.lanes, 32u);
  EXPECT_EQ(write.cost, 4u);
  EXPECT_EQ(at(c, "here they land", Space::shared, Access::write).requests, 0u);
  EXPECT_EQ(c.total(Space::global, Access::read).requests, 1u);
  EXPECT_EQ(c.total(Space::shared, Access::read).requests, 1u);
}

// ---- What is counted at all ----

struct Parameters {
  int64_t a[4];
};
__global__ void nothing_but_parameters(Parameters p, const float* constant, float* y) {
  float local[8] = {};
  for (int i = 0; i < 8; ++i) local[(threadIdx.x + i) % 8] += float(p.a[i % 4]) + constant[i];
  if (local[threadIdx.x % 8] > 1e9f) y[0] = local[0];
}

TEST(SimtCounters, ParametersConstantsAndLocalArraysAreNotMemory) {
  static const float constant[8] = {};
  const Memory m;
  EXPECT_TRUE(count<nothing_but_parameters>(32, Parameters{}, constant, m.y).lines.empty());
}

TEST(SimtCounters, EveryScheduleCountsTheSame) {
  const Memory m;
  for (uint64_t seed = 0; seed < 5; ++seed) {
    const Counting counting;
    launch<transpose<32>>(Simt{seed}, {3, 1024}, m.y);
    launch<transpose<32>>(Simt{seed}, {2, 1024}, m.y);
    const auto all = counting.result();
    ASSERT_EQ(all.size(), 1u);
    EXPECT_EQ(all[0].launches, 2u);
    EXPECT_EQ(all[0].block.x, 1024u);
    EXPECT_EQ(all[0].total(Space::shared, Access::read).cost, 5u * 32 * 32);
  }
}

TEST(SimtCounters, OneAtATime) {
  const Counting counting;
  EXPECT_THAT_ERROR(text_of([] { const Counting second; }), "counting already");
}

// ---- The arithmetic alone ----

TEST(SimtRequest, BytesThatLanesShareAreIdealOnce) {
  simt::Request r;
  r.bytes = 8;
  r.lanes = 0b111;
  r.address[0] = 28, r.address[1] = 32, r.address[2] = 32;  // 28 … 39, over a sector's edge
  EXPECT_EQ(simt::sectors(r).actual, 2);
  EXPECT_EQ(simt::sectors(r).ideal, 1);
}

TEST(SimtRequest, EightBytesGoByHalves) {
  simt::Request r;
  r.bytes = 8;
  r.lanes = ~0u;
  for (int lane = 0; lane < 32; ++lane) r.address[lane] = 8 * lane;
  EXPECT_EQ(simt::wavefronts(r).actual, 2);
  for (int lane = 0; lane < 32; ++lane) r.address[lane] = 16 * lane;  // every other pair of banks
  EXPECT_EQ(simt::wavefronts(r).actual, 4);
  EXPECT_EQ(simt::wavefronts(r).ideal, 2);
  r.lanes = 0xffff;  // the second half is not served
  EXPECT_EQ(simt::wavefronts(r).actual, 2);
  EXPECT_EQ(simt::wavefronts(r).ideal, 1);
}

}  // namespace
}  // namespace holt
