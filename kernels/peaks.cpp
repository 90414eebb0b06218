#include "kernels/peaks.h"

#include <omp.h>
#include <unistd.h>
#if defined(__AVX512BF16__)
#include <immintrin.h>
#endif

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <memory>
#include <vector>

namespace holt {
namespace {

// The widest vector that this build uses; GCC splits a wider one and would spill.
#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
#elif defined(__AVX__)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif
typedef float Vector __attribute__((vector_size(kVectorBytes)));
constexpr int64_t kLanes = kVectorBytes / 4;

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// Sum over the threads of each one's median rate: all work at the same time, in pieces short against a time slice, so
// that a busy machine interrupts few of them. work(thread, i) does piece i and returns its units.
template <class Work>
double rate(double seconds, int threads, Work&& work) {
  double sum = 0;
#pragma omp parallel num_threads(threads) reduction(+ : sum)
  {
    std::vector<double> rates;
    const auto start = Clock::now();
    do {
      const auto begin = Clock::now();
      const double units = work(omp_get_thread_num(), static_cast<int64_t>(rates.size()));
      rates.push_back(units / seconds_since(begin));
    } while (seconds_since(start) < seconds);
    std::nth_element(rates.begin(), rates.begin() + rates.size() / 2, rates.end());
    sum += rates[rates.size() / 2];
  }
  return sum;
}

// Ten independent chains cover a latency of five at two a cycle. The empty asm hides a value from the compiler: its
// factors are not constants, its results are used.
constexpr int kChains = 10;
constexpr int64_t kRounds = 1 << 15;  // about 100 µs

double fma_f32(int, int64_t) {
  Vector sum[kChains];
  for (int k = 0; k < kChains; ++k) sum[k] = Vector{} + static_cast<float>(k);
  Vector a = Vector{} + 0.999f, b = Vector{} + 0.001f;
#if defined(__x86_64__)
#define HOLT_KEEP(v) asm volatile("" : "+v"(v))
#else
#define HOLT_KEEP(v) asm volatile("" : "+w"(v))
#endif
  HOLT_KEEP(a);
  HOLT_KEEP(b);
  for (int64_t i = 0; i < kRounds; ++i)
#pragma GCC unroll 10
    for (int k = 0; k < kChains; ++k) sum[k] = sum[k] * a + b;
  for (Vector& s : sum) HOLT_KEEP(s);
  return 2.0 * kLanes * kChains * kRounds;
}

#if defined(__AVX512BF16__)
double dot_bf16(int, int64_t) {
  __m512 sum[kChains];
  for (int k = 0; k < kChains; ++k) sum[k] = _mm512_set1_ps(static_cast<float>(k));
  Vector a = Vector{} + 0.001f, b = Vector{} + 0.001f;
  HOLT_KEEP(a);
  HOLT_KEEP(b);
  for (int64_t i = 0; i < kRounds; ++i)
#pragma GCC unroll 10
    for (int k = 0; k < kChains; ++k) sum[k] = _mm512_dpbf16_ps(sum[k], (__m512bh)a, (__m512bh)b);
  for (__m512& s : sum) HOLT_KEEP(s);
  return 4.0 * 16 * kChains * kRounds;  // 16 lanes, each two products and two sums
}
#endif

}  // namespace

Peaks measure_peaks(double seconds) {
  Peaks p;
  p.threads = std::min(omp_get_max_threads(), omp_get_num_procs());  // more would take turns, and count twice
  p.f32_gflops = rate(seconds, p.threads, fma_f32) * 1e-9;
#if defined(__AVX512BF16__)
  p.bf16_gflops = rate(seconds, p.threads, dot_bf16) * 1e-9;
#endif

  // Four times the last-level cache, at least 64 MiB, so that no line survives from one pass to the next.
  const int64_t cache = std::max<int64_t>(0, sysconf(_SC_LEVEL3_CACHE_SIZE));
  const int64_t bytes = std::clamp<int64_t>(4 * cache, int64_t{64} << 20, int64_t{256} << 20);
  p.copy_mib = static_cast<double>(bytes) / (1 << 20);
  const auto from = std::make_unique_for_overwrite<char[]>(bytes), to = std::make_unique_for_overwrite<char[]>(bytes);
  const int64_t share = bytes / p.threads, piece = std::min<int64_t>(share, int64_t{4} << 20), pieces = share / piece;
#pragma omp parallel num_threads(p.threads)
  {  // pages belong to the thread that will copy them
    const int64_t begin = share * omp_get_thread_num();
    std::memset(from.get() + begin, 1, share);
    std::memset(to.get() + begin, 2, share);
  }
  p.copy_gbytes = rate(2 * seconds, p.threads,
                       [&](int thread, int64_t i) {
                         const int64_t begin = share * thread + i % pieces * piece;
                         std::memcpy(to.get() + begin, from.get() + begin, piece);
                         return 2.0 * static_cast<double>(piece);
                       }) *
                  1e-9;
  return p;
}

std::string cpu_name() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  return "unknown processor";
}

}  // namespace holt
