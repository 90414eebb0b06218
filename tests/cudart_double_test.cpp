// The double of CUDA's runtime catches what it is there to catch: each misuse is planted and must be noticed.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <functional>
#include <stdexcept>
#include <thread>
#include <vector>

#if !defined(HOLT_CUDART_DOUBLE)
TEST(CudartDouble, IsPartOfBuildsWithHoltCudaDouble) { GTEST_SKIP() << "this build has no double of CUDA's runtime"; }
#else

#include "tests/doubles/cudart/double.h"
#include "tests/harness/units.h"

namespace holt {
namespace {

using test::MiB;

// A stream, an allocation of floats: what the tests of raw CUDA calls work with.
class CudartDouble : public testing::Test {
 protected:
  void SetUp() override {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    ASSERT_EQ(cudaSetDevice(0), cudaSuccess);
    ASSERT_EQ(cudaDeviceGetDefaultMemPool(&pool_, 0), cudaSuccess);
    ASSERT_EQ(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), cudaSuccess);
  }
  void TearDown() override {
    holt_double_forget_fault();
    EXPECT_EQ(cudaStreamDestroy(stream_), cudaSuccess);
    EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
    EXPECT_EQ(holt_double_live_allocations(), 0u);
    EXPECT_EQ(holt_double_live_pinned(), 0u);
    EXPECT_EQ(holt_double_live_handles(), 0u);
    cudaGetLastError();
  }
  float* device_floats(size_t n) {
    void* p = nullptr;
    EXPECT_EQ(cudaMallocFromPoolAsync(&p, n * sizeof(float), pool_, stream_), cudaSuccess);
    return static_cast<float*>(p);
  }
  // A kernel that adds to the first element.
  void add(float* p, float x, cudaStream_t s) {
    struct Work {
      float *p, x;
    };
    holt_double_enqueue(
        s, [](void* w) { *static_cast<Work*>(w)->p += static_cast<Work*>(w)->x; }, new Work{p, x},
        [](void* w) { delete static_cast<Work*>(w); });
  }
  float fetch(const float* p) {
    float x = 0;
    EXPECT_EQ(cudaMemcpyAsync(&x, p, sizeof x, cudaMemcpyDeviceToHost, stream_), cudaSuccess);
    EXPECT_EQ(cudaStreamSynchronize(stream_), cudaSuccess);
    return x;
  }
  void zero(float* p) { EXPECT_EQ(cudaMemsetAsync(p, 0, sizeof *p, stream_), cudaSuccess); }

  cudaMemPool_t pool_ = nullptr;
  cudaStream_t stream_ = nullptr;
};
using CudartDoubleDeathTest = CudartDouble;

TEST_F(CudartDouble, WorkRunsOnlyWhenSomebodyWaits) {
  float* const p = device_floats(1);
  zero(p);
  add(p, 2, stream_);
  float early = -1;
  ASSERT_EQ(cudaMemcpyAsync(&early, p, sizeof early, cudaMemcpyDeviceToHost, stream_), cudaSuccess);
  EXPECT_EQ(early, -1) << "a missing synchronisation must show";
  EXPECT_EQ(holt_double_pending(), 4u);
  EXPECT_EQ(cudaStreamSynchronize(stream_), cudaSuccess);
  EXPECT_EQ(early, 2);
  EXPECT_EQ(cudaFreeAsync(p, stream_), cudaSuccess);
}

TEST_F(CudartDouble, StreamsAreOrderedByEventsAlone) {
  cudaStream_t other;
  cudaEvent_t event;
  ASSERT_EQ(cudaStreamCreateWithFlags(&other, cudaStreamNonBlocking), cudaSuccess);
  ASSERT_EQ(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), cudaSuccess);
  float* const p = device_floats(1);
  zero(p);
  ASSERT_EQ(cudaStreamSynchronize(stream_), cudaSuccess);
  add(p, 1, other);
  EXPECT_EQ(fetch(p), 0) << "nobody waited for the other stream";
  ASSERT_EQ(cudaEventRecord(event, other), cudaSuccess);
  ASSERT_EQ(cudaStreamWaitEvent(stream_, event, 0), cudaSuccess);
  EXPECT_EQ(fetch(p), 1);
  holt_double_set_eager(other, 1);
  add(p, 1, other);
  EXPECT_EQ(fetch(p), 2) << "an eager stream does not wait to be waited for";
  EXPECT_EQ(cudaFreeAsync(p, stream_), cudaSuccess);
  EXPECT_EQ(cudaEventDestroy(event), cudaSuccess);
  EXPECT_EQ(cudaStreamDestroy(other), cudaSuccess);
}

TEST_F(CudartDouble, CopiesReadPageableMemoryNowAndPinnedMemoryLater) {
  float* const p = device_floats(1);
  float pageable = 1;
  ASSERT_EQ(cudaMemcpyAsync(p, &pageable, sizeof(float), cudaMemcpyHostToDevice, stream_), cudaSuccess);
  pageable = 2;
  EXPECT_EQ(fetch(p), 1);
  void* pinned = nullptr;
  ASSERT_EQ(cudaHostAlloc(&pinned, sizeof(float), cudaHostAllocDefault), cudaSuccess);
  *static_cast<float*>(pinned) = 3;
  ASSERT_EQ(cudaMemcpyAsync(p, pinned, sizeof(float), cudaMemcpyHostToDevice, stream_), cudaSuccess);
  *static_cast<float*>(pinned) = 4;
  EXPECT_EQ(fetch(p), 4) << "a buffer that is used again too early must show";
  EXPECT_EQ(cudaFreeHost(pinned), cudaSuccess);
  EXPECT_EQ(cudaFreeAsync(p, stream_), cudaSuccess);
}

TEST_F(CudartDouble, CopiesAreChecked) {
  float* const p = device_floats(4);
  float host[8] = {};
  const auto copy = [&](void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
    return cudaMemcpyAsync(to, from, bytes, kind, stream_);
  };
  EXPECT_EQ(copy(p, host, 20, cudaMemcpyHostToDevice), cudaErrorInvalidValue);  // past the end
  EXPECT_EQ(copy(p + 3, host, 8, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(copy(host, p, 16, cudaMemcpyHostToDevice), cudaErrorInvalidValue);  // the wrong way round
  EXPECT_EQ(copy(p, host, 16, cudaMemcpyDeviceToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(copy(p, host, 16, cudaMemcpyDefault), cudaErrorInvalidMemcpyDirection);
  EXPECT_EQ(copy(p, nullptr, 16, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemsetAsync(p, 0, 17, stream_), cudaErrorInvalidValue);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidValue);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess) << "asking forgets it";
  EXPECT_EQ(cudaFreeAsync(p, stream_), cudaSuccess);
}

TEST_F(CudartDouble, FreshMemoryIsNaNAndFreesAreChecked) {
  float* const p = device_floats(3);
  EXPECT_TRUE(std::isnan(fetch(p + 2)));
  EXPECT_EQ(reinterpret_cast<uintptr_t>(p) % 512, 256u) << "aligned as promised and no better";
  EXPECT_EQ(cudaFreeAsync(p + 1, stream_), cudaErrorInvalidValue);
  EXPECT_EQ(cudaFreeAsync(p, stream_), cudaSuccess);
  EXPECT_EQ(cudaFreeAsync(p, stream_), cudaErrorInvalidValue) << "freed twice";
  EXPECT_EQ(cudaMemsetAsync(p, 0, 4, stream_), cudaErrorInvalidValue) << "used after its free";
}

#if defined(__SANITIZE_ADDRESS__)
TEST_F(CudartDoubleDeathTest, AKernelThatUsesFreedMemoryDies) {
  float* const p = device_floats(1);
  EXPECT_EQ(cudaFreeAsync(p, stream_), cudaSuccess);
  add(p, 1, stream_);
  EXPECT_DEATH(cudaStreamSynchronize(stream_), "use-after-poison");
  holt_double_forget_fault();
}

TEST_F(CudartDoubleDeathTest, AKernelThatRunsBeforeTheAllocationDies) {
  cudaStream_t other;
  ASSERT_EQ(cudaStreamCreateWithFlags(&other, cudaStreamNonBlocking), cudaSuccess);
  float* const p = device_floats(1);
  add(p, 1, other);
  EXPECT_DEATH(cudaStreamSynchronize(other), "use-after-poison");
  EXPECT_EQ(cudaStreamSynchronize(stream_), cudaSuccess);
  EXPECT_EQ(cudaStreamDestroy(other), cudaSuccess);
  EXPECT_EQ(cudaFreeAsync(p, stream_), cudaSuccess);
}

TEST_F(CudartDoubleDeathTest, AKernelThatRunsPastTheEndDies) {
  float* const p = device_floats(3);
  add(p + 3, 1, stream_);
  EXPECT_DEATH(cudaStreamSynchronize(stream_), "use-after-poison");
  holt_double_forget_fault();
  EXPECT_EQ(cudaFreeAsync(p, stream_), cudaSuccess);
}
#endif

TEST_F(CudartDoubleDeathTest, AHostThatTouchesDeviceMemoryDies) {
  float* const p = device_floats(1);
  zero(p);
  EXPECT_EQ(cudaStreamSynchronize(stream_), cudaSuccess);
  EXPECT_DEATH(*static_cast<volatile float*>(p) = 1, "");
  EXPECT_DEATH(
      {
        const float x = *static_cast<volatile float*>(p);
        std::fprintf(stderr, "%f", double{x});
      },
      "");
  EXPECT_EQ(fetch(p), 0);
  EXPECT_EQ(cudaFreeAsync(p, stream_), cudaSuccess);
}

TEST_F(CudartDoubleDeathTest, WorkOfOneGpuCannotReachTheOther) {
  float* const p = device_floats(1);
  zero(p);
  EXPECT_EQ(cudaStreamSynchronize(stream_), cudaSuccess);
  EXPECT_DEATH(
      {
        cudaSetDevice(1);
        add(p, 1, cudaStreamPerThread);
        cudaStreamSynchronize(cudaStreamPerThread);
      },
      "");
  ASSERT_EQ(cudaSetDevice(1), cudaSuccess);
  float host = 0;
  EXPECT_EQ(cudaMemcpyAsync(&host, p, 4, cudaMemcpyDeviceToHost, cudaStreamPerThread), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemcpyAsync(&host, p, 4, cudaMemcpyDeviceToHost, stream_), cudaErrorInvalidResourceHandle)
      << "a stream of another GPU than the thread's";
  EXPECT_EQ(cudaFreeAsync(p, cudaStreamPerThread), cudaErrorInvalidValue);
  EXPECT_EQ(cudaSetDevice(2), cudaErrorInvalidDevice);
  ASSERT_EQ(cudaSetDevice(0), cudaSuccess);
  EXPECT_EQ(cudaFreeAsync(p, stream_), cudaSuccess);
}

TEST_F(CudartDouble, AFaultInAKernelStays) {
  holt_double_enqueue(
      stream_, [](void*) { throw std::runtime_error("the kernel's fault"); }, nullptr, [](void*) {});
  EXPECT_EQ(cudaGetLastError(), cudaSuccess) << "it has not run yet";
  testing::internal::CaptureStderr();
  EXPECT_EQ(cudaStreamSynchronize(stream_), cudaErrorLaunchFailure);
  EXPECT_NE(testing::internal::GetCapturedStderr().find("the kernel's fault"), std::string::npos);
  EXPECT_EQ(cudaGetLastError(), cudaErrorLaunchFailure);
  EXPECT_EQ(cudaGetLastError(), cudaErrorLaunchFailure) << "sticky: asking does not forget it";
  void* p = nullptr;
  EXPECT_EQ(cudaMallocFromPoolAsync(&p, 8, pool_, stream_), cudaErrorLaunchFailure);
  EXPECT_NE(std::string(holt_double_fault()).find("the kernel's fault"), std::string::npos);
}

TEST_F(CudartDouble, WorkMayNotCallCuda) {
  static cudaError_t got = cudaSuccess;
  holt_double_enqueue(
      stream_, [](void*) { got = cudaStreamSynchronize(cudaStreamPerThread); }, nullptr, [](void*) {});
  EXPECT_EQ(cudaStreamSynchronize(stream_), cudaSuccess);
  EXPECT_EQ(got, cudaErrorNotPermitted);
}

TEST_F(CudartDouble, APoolCountsReservesAndTrims) {
  const auto get = [&](cudaMemPoolAttr a) {
    uint64_t v = 0;
    EXPECT_EQ(cudaMemPoolGetAttribute(pool_, a, &v), cudaSuccess);
    return v;
  };
  uint64_t keep = ~uint64_t{0};
  ASSERT_EQ(cudaMemPoolSetAttribute(pool_, cudaMemPoolAttrReleaseThreshold, &keep), cudaSuccess);
  EXPECT_EQ(cudaMemPoolTrimTo(pool_, 0), cudaSuccess);
  EXPECT_EQ(get(cudaMemPoolAttrReservedMemCurrent), 0u);
  float* const p = device_floats(MiB);
  EXPECT_EQ(get(cudaMemPoolAttrUsedMemCurrent), 4 * MiB);
  EXPECT_EQ(get(cudaMemPoolAttrReservedMemCurrent), 4 * MiB);
  EXPECT_EQ(cudaFreeAsync(p, stream_), cudaSuccess);
  EXPECT_EQ(get(cudaMemPoolAttrUsedMemCurrent), 0u);
  EXPECT_GE(get(cudaMemPoolAttrUsedMemHigh), 4 * MiB);
  EXPECT_EQ(cudaMemPoolTrimTo(pool_, 0), cudaSuccess);
  EXPECT_EQ(get(cudaMemPoolAttrReservedMemCurrent), 4 * MiB) << "the stream may still use it";
  void* q = nullptr;
  ASSERT_EQ(cudaMallocFromPoolAsync(&q, MiB, pool_, cudaStreamPerThread), cudaSuccess);
  EXPECT_EQ(get(cudaMemPoolAttrReservedMemCurrent), 6 * MiB) << "another stream cannot have what this one waits for";
  EXPECT_EQ(cudaFreeAsync(q, cudaStreamPerThread), cudaSuccess);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  EXPECT_EQ(cudaMemPoolTrimTo(pool_, 0), cudaSuccess);
  EXPECT_EQ(get(cudaMemPoolAttrReservedMemCurrent), 0u);
  EXPECT_EQ(cudaMallocFromPoolAsync(&q, size_t{3} << 30, pool_, stream_), cudaErrorMemoryAllocation);
}

TEST_F(CudartDouble, CaptureRecordsAndAGraphReplays) {
  float* const p = device_floats(1);
  zero(p);
  ASSERT_EQ(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal), cudaSuccess);
  add(p, 5, stream_);
  cudaGraph_t graph = nullptr;
  ASSERT_EQ(cudaStreamEndCapture(stream_, &graph), cudaSuccess);
  EXPECT_EQ(fetch(p), 0) << "capturing runs nothing";
  cudaGraphExec_t run = nullptr;
  ASSERT_EQ(cudaGraphInstantiate(&run, graph, 0), cudaSuccess);
  EXPECT_EQ(cudaGraphDestroy(graph), cudaSuccess);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(cudaGraphLaunch(run, stream_), cudaSuccess);
  EXPECT_EQ(fetch(p), 15);
  EXPECT_EQ(cudaGraphExecDestroy(run), cudaSuccess);
  EXPECT_EQ(cudaGraphLaunch(run, stream_), cudaErrorInvalidValue);
  EXPECT_EQ(cudaFreeAsync(p, stream_), cudaSuccess);
}

TEST_F(CudartDouble, WhatCaptureForbidsInvalidatesIt) {
  float* const p = device_floats(1);
  float host = 0;
  void* q = nullptr;
  cudaStream_t other;
  cudaEvent_t event;
  ASSERT_EQ(cudaStreamCreateWithFlags(&other, cudaStreamNonBlocking), cudaSuccess);
  ASSERT_EQ(cudaEventCreate(&event), cudaSuccess);
  ASSERT_EQ(cudaEventRecord(event, other), cudaSuccess);
  const auto during = [&](const char* what, cudaError_t expected, const std::function<cudaError_t()>& call) {
    cudaGraph_t graph = nullptr;
    ASSERT_EQ(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal), cudaSuccess) << what;
    EXPECT_EQ(call(), expected) << what;
    EXPECT_EQ(cudaMemsetAsync(p, 0, 4, stream_), cudaErrorStreamCaptureInvalidated) << what;
    EXPECT_EQ(cudaStreamEndCapture(stream_, &graph), cudaErrorStreamCaptureInvalidated) << what;
    EXPECT_EQ(graph, nullptr) << what;
    EXPECT_EQ(cudaMemsetAsync(p, 0, 4, stream_), cudaSuccess) << what << ": the stream is usable again";
  };
  constexpr auto unsupported = cudaErrorStreamCaptureUnsupported;
  during("synchronise the stream", unsupported, [&] { return cudaStreamSynchronize(stream_); });
  during("ask the stream", unsupported, [&] { return cudaStreamQuery(stream_); });
  during("synchronise the device", unsupported, [&] { return cudaDeviceSynchronize(); });
  during("allocate", unsupported, [&] { return cudaMallocFromPoolAsync(&q, 4, pool_, stream_); });
  during("free", unsupported, [&] { return cudaFreeAsync(p, stream_); });
  during("pin", unsupported, [&] { return cudaHostAlloc(&q, 4, 0); });
  during("trim", unsupported, [&] { return cudaMemPoolTrimTo(pool_, 0); });
  during("copy synchronously", unsupported, [&] { return cudaMemcpy(&host, p, 4, cudaMemcpyDeviceToHost); });
  during("copy from pageable memory", unsupported,
         [&] { return cudaMemcpyAsync(p, &host, 4, cudaMemcpyHostToDevice, stream_); });
  during("wait for what is not captured", cudaErrorStreamCaptureIsolation,
         [&] { return cudaStreamWaitEvent(stream_, event, 0); });
  during("wait on the host for what is captured", cudaErrorCapturedEvent, [&] {
    EXPECT_EQ(cudaEventRecord(event, stream_), cudaSuccess);
    return cudaEventSynchronize(event);
  });
  // A blocking stream's capture is also spoilt by the legacy stream.
  cudaGraph_t graph = nullptr;
  ASSERT_EQ(cudaStreamBeginCapture(cudaStreamPerThread, cudaStreamCaptureModeThreadLocal), cudaSuccess);
  EXPECT_EQ(cudaMemsetAsync(p, 0, 4, cudaStreamLegacy), cudaErrorStreamCaptureImplicit);
  EXPECT_EQ(cudaStreamEndCapture(cudaStreamPerThread, &graph), cudaErrorStreamCaptureInvalidated);
  // A stream that joined must be joined in turn.
  ASSERT_EQ(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal), cudaSuccess);
  EXPECT_EQ(cudaEventRecord(event, stream_), cudaSuccess);
  EXPECT_EQ(cudaStreamWaitEvent(other, event, 0), cudaSuccess);
  EXPECT_EQ(cudaMemsetAsync(p, 0, 4, other), cudaSuccess);
  EXPECT_EQ(cudaStreamEndCapture(stream_, &graph), cudaErrorStreamCaptureUnjoined);
  // From another thread it cannot be ended, and that thread's own work goes on.
  ASSERT_EQ(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal), cudaSuccess);
  std::thread([&] {
    EXPECT_EQ(cudaStreamEndCapture(stream_, &graph), cudaErrorStreamCaptureWrongThread);
    EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  }).join();
  EXPECT_EQ(cudaStreamEndCapture(stream_, &graph), cudaSuccess);
  EXPECT_EQ(cudaGraphDestroy(graph), cudaSuccess);
  EXPECT_EQ(cudaEventDestroy(event), cudaSuccess);
  EXPECT_EQ(cudaStreamDestroy(other), cudaSuccess);
  EXPECT_EQ(cudaFreeAsync(p, stream_), cudaSuccess);
}

TEST_F(CudartDouble, CallsFailWhenTold) {
  holt_double_fail_next("cudaMallocFromPoolAsync", cudaErrorMemoryAllocation);
  void* p = nullptr;
  EXPECT_EQ(cudaMallocFromPoolAsync(&p, 4, pool_, stream_), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaGetLastError(), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaMallocFromPoolAsync(&p, 4, pool_, stream_), cudaSuccess);
  EXPECT_EQ(cudaFreeAsync(p, stream_), cudaSuccess);
}

}  // namespace
}  // namespace holt
#endif
