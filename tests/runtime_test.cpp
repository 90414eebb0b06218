#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <functional>
#include <thread>
#include <vector>

#include "kernels/device.h"
#include "kernels/error.h"
#include "kernels/parallel.h"
#include "kernels/philox.h"
#include "kernels/rungs.h"
#include "kernels/stream.h"
#include "tests/harness/expect_error.h"

namespace holt {
namespace {

TEST(Error, HasTheTextTheFileAndTheLine) {
  constexpr const char* text = "op: expected {}, got {} and {} in {}";
  const int line = __LINE__ + 1;
  const std::string e = text_of([] { check(false, {text}, 3, -1.5, "x", DType::bf16); });
  EXPECT_EQ(e, format("op: expected 3, got -1.5 and x in bf16 (tests/runtime_test.cpp:{})", line));
  EXPECT_EQ(text_of([] { check(true, "op: {}", 1); }), "no error");
  try {
    fail("plain {}", uint8_t{7});
  } catch (const Error& error) { EXPECT_EQ(error.message(), "plain 7"); }
}

TEST(Device, NamesRoundTrip) {
  for (Device d : {Device{Device::cpu}, Device{Device::simt}}) EXPECT_EQ(parse_device(to_string(d)), d);
  EXPECT_EQ(to_string(Device{Device::cuda, 3}), "cuda:3");
  for (const char* bad :
       {"", "gpu", "CPU", "cpu:0", "cuda:", "cuda:x", "cuda:-1", "cuda:1x", "cuda:128", "cuda:99999999999"})
    EXPECT_NE(text_of([&] { parse_device(bad); }).find("expected cpu, simt, cuda or cuda:N"), std::string::npos) << bad;
}

TEST(Device, WhatIsMissingForCudaIsNamed) {
  const int count = cuda_device_count();
  if (count > 0) {
    EXPECT_EQ(cuda_missing_reason(), "");
    EXPECT_EQ(parse_device("cuda"), Device(Device::cuda));
    EXPECT_NE(text_of([&] { parse_device("cuda:127"); }).find("this machine has"), std::string::npos);
    return;
  }
  const std::string why = cuda_missing_reason();
  EXPECT_NE(why.find(kHasCuda ? "driver" : "no CUDA"), std::string::npos) << why;
  for (const char* name : {"cuda", "cuda:0", "cuda:5"})
    EXPECT_NE(text_of([&] { parse_device(name); }).find(why), std::string::npos);
  EXPECT_NE(text_of([] { on(Device::cuda, [](auto) {}); }), "no error");
  EXPECT_NE(text_of([] { synchronize(Device::cuda); }), "no error");
  EXPECT_NE(text_of([] { Event e(Device::cuda); }), "no error");
}

TEST(Device, OnCallsTheRightBackend) {
  const auto name = [](auto dev) -> std::string {
    using B = decltype(dev);
    return std::is_same_v<B, Cpu> ? "cpu" : std::is_same_v<B, Simt> ? "simt" : "cuda";
  };
  EXPECT_EQ(on(Device::cpu, name), "cpu");
  EXPECT_EQ(on(Device::simt, name), "simt");
  DType got{};
  on(Device::cpu, DType::f64, "op", Floats{}, [&]<class T>(auto, T) { got = dtype_of<T>; });
  EXPECT_EQ(got, DType::f64);
  EXPECT_NE(text_of([] {
              on(Device::cpu, DType::i32, "op", Floats{}, [](auto, auto) {});
            }).find("op: dtype i32 is not supported on cpu; expected one of f32, bf16, f16, f64"),
            std::string::npos);
  EXPECT_NE(text_of([] {
              on(Device::simt, DType::f64, "op", Floats{}, [](auto, auto) {});
            }).find("op: dtype f64 is not supported on simt; expected one of f32, bf16, f16"),
            std::string::npos);
}

TEST(Stream, ScheduleNestsAndIsPerThread) {
  EXPECT_EQ(current_simt().schedule, 0u);
  {
    const SimtSchedule outer(5);
    {
      const SimtSchedule inner(9);
      EXPECT_EQ(current_simt().schedule, 9u);
      uint64_t other = 1;
      std::thread([&] { other = current_simt().schedule; }).join();
      EXPECT_EQ(other, 0u);
    }
    EXPECT_EQ(current_simt().schedule, 5u);
  }
  EXPECT_EQ(current_simt().schedule, 0u);
}

TEST(Stream, EventsMeasureTime) {
  for (Device d : {Device::cpu, Device::simt}) {
    Event a(d), b(d);
    EXPECT_THROW(a.wait(), Error);
    a.record();
    EXPECT_THROW(b.seconds_since(a), Error);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    b.record();
    b.wait();
    synchronize(d);
    EXPECT_GE(b.seconds_since(a), 0.02);
    EXPECT_LT(b.seconds_since(a), 10);
    const Event moved = std::move(b);
    EXPECT_GE(moved.seconds_since(a), 0.02);
  }
  Event a(Device::cpu), b(Device::simt);
  a.record();
  b.record();
  EXPECT_THROW(b.seconds_since(a), Error);
}

TEST(Parallel, EveryIndexOnce) {
  for (int64_t n : {int64_t{0}, int64_t{1}, int64_t{7}, kSerialWork - 1, kSerialWork, 3 * kSerialWork + 11}) {
    std::vector<std::atomic<int>> seen(static_cast<size_t>(n));
    parallel_for(n, 1, [&](int64_t begin, int64_t end) {
      EXPECT_LT(begin, end);
      for (int64_t i = begin; i < end; ++i) ++seen[static_cast<size_t>(i)];
    });
    EXPECT_TRUE(std::all_of(seen.begin(), seen.end(), [](const auto& c) { return c == 1; })) << n;
  }
}

TEST(Parallel, ThreadsComeWithWork) {
  EXPECT_EQ(threads_for(kSerialWork - 1), 1);
  const ThreadLimit two(2);
  EXPECT_LE(threads_for(int64_t{1} << 40), 2);
  {
    const ThreadLimit one(1);
    EXPECT_EQ(threads_for(int64_t{1} << 40), 1);
  }
  parallel_for(2, kSerialWork, [](int64_t, int64_t) {  // inside a parallel loop: no more threads
    EXPECT_TRUE(!omp_in_parallel() || threads_for(int64_t{1} << 40) == 1);
  });
}

inline constexpr Rungs<3> kRungs{"ladder", {"naive", "warp", "vec16"}};

TEST(Rungs, TheInnermostChoiceWins) {
  EXPECT_EQ(kRungs.pick("vec16"), 2u);
  {
    const ScopedRung outer("ladder", "naive");
    EXPECT_EQ(kRungs.pick("vec16"), 0u);
    const ScopedRung inner("ladder", "warp"), another("other", "naive");
    EXPECT_EQ(kRungs.pick("vec16"), 1u);
  }
  EXPECT_EQ(kRungs.pick("vec16"), 2u);
  const ScopedRung wrong("ladder", "fast");
  EXPECT_NE(text_of([] { kRungs.pick("vec16"); }).find("ladder: no rung 'fast'; its rungs are naive, warp, vec16"),
            std::string::npos);
}

// Read once, so each runs in a process of its own.
void pick_with(const char* rungs) {
  setenv("HOLT_RUNGS", rungs, 1);
  std::fprintf(stderr, "%s\n", text_of([] { fail("rung {}", kRungs.pick("vec16")); }).c_str());
  std::exit(0);
}

TEST(RungsDeathTest, TheEnvironmentSteersAProcess) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(pick_with("matmul=tiled,ladder=warp"), testing::ExitedWithCode(0), "rung 1");
  EXPECT_EXIT(pick_with("matmul=tiled"), testing::ExitedWithCode(0), "rung 2");
  for (const char* bad : {"ladder", "=warp", "ladder="})
    EXPECT_EXIT(pick_with(bad), testing::ExitedWithCode(0), "is not of the form op=rung");
}

inline constexpr Rungs<2> kRungsAndVendor{"product", {"naive", "tiled"}, true};

TEST(Rungs, TheVendorsIsTakenUnlessAnotherIsChosen) {
  EXPECT_TRUE(vendor_chosen("product"));
  {
    const ScopedRung own("product", "naive");
    EXPECT_FALSE(vendor_chosen("product"));
    EXPECT_TRUE(vendor_chosen("another"));
    const ScopedRung back("product", "vendor");
    EXPECT_TRUE(vendor_chosen("product"));
    EXPECT_EQ(kRungsAndVendor.pick("tiled"), 1u);  // it declined
  }
  const ScopedRung absent("ladder", "vendor"), wrong("product", "fast");
  EXPECT_NE(text_of([] { kRungs.pick("vec16"); }).find("ladder: no rung 'vendor'; its rungs are naive, warp, vec16"),
            std::string::npos);
  EXPECT_NE(text_of([] { kRungsAndVendor.pick("tiled"); }).find("its rungs are naive, tiled, vendor"),
            std::string::npos);
}

void say_vendor_chosen(const char* kernels, const char* rungs) {
  setenv("HOLT_KERNELS", kernels, 1);
  setenv("HOLT_RUNGS", rungs, 1);
  std::fprintf(stderr, "%s\n", text_of([] { fail("vendor {}", vendor_chosen("product")); }).c_str());
  std::exit(0);
}

TEST(RungsDeathTest, TheEnvironmentSteersVendors) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto exited = testing::ExitedWithCode(0);
  EXPECT_EXIT(say_vendor_chosen("", ""), exited, "vendor true");
  EXPECT_EXIT(say_vendor_chosen("vendor", ""), exited, "vendor true");
  EXPECT_EXIT(say_vendor_chosen("own", ""), exited, "vendor false");
  EXPECT_EXIT(say_vendor_chosen("own", "product=vendor"), exited, "vendor true");
  EXPECT_EXIT(say_vendor_chosen("vendor", "product=naive"), exited, "vendor false");
  for (const char* bad : {"Own", "mine", "own "})
    EXPECT_EXIT(say_vendor_chosen(bad, ""), exited, "HOLT_KERNELS: expected 'own' .* or 'vendor' .*, got '");
}

// Known answers of the Random123 distribution (kat_vectors, philox4x32-10): counter words, key words, result.
TEST(Philox, KnownAnswers) {
  struct Answer {
    uint32_t counter[4], key[2], result[4];
  };
  const Answer answers[] = {
      {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
      {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
       {0xffffffff, 0xffffffff},
       {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
      {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
       {0xa4093822, 0x299f31d0},
       {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
  };
  const auto join = [](uint32_t low, uint32_t high) { return uint64_t{high} << 32 | low; };
  for (const Answer& a : answers) {
    const Philox4 r =
        philox(join(a.key[0], a.key[1]), join(a.counter[2], a.counter[3]), join(a.counter[0], a.counter[1]));
    for (int i = 0; i < 4; ++i) EXPECT_EQ(r.v[i], a.result[i]);
  }
}

TEST(Philox, UniformIsBelowOneAndExact) {
  EXPECT_EQ(uniform01(0), 0.0f);
  EXPECT_EQ(uniform01(0xff), 0.0f);
  EXPECT_EQ(uniform01(0x100), 0x1p-24f);
  EXPECT_EQ(uniform01(0xffffffff), 1 - 0x1p-24f);
}

}  // namespace
}  // namespace holt
