// How holt uses cuBLASLt on the cuda device: when it is opened, what happens where it has no algorithm, fails or is
// missing, threads, and capture. The numbers are matmul_cases' and weight_gradient_cases' work.
#include <gtest/gtest.h>

#if !defined(HOLT_CUDART_DOUBLE)
TEST(Cublaslt, IsPartOfBuildsWithHoltCudaDouble) { GTEST_SKIP() << "this build has no doubles of NVIDIA's libraries"; }
#else

#include <cuda_runtime_api.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <thread>
#include <vector>

#include "core/autograd.h"
#include "core/ops.h"
#include "core/random.h"
#include "kernels/cuda/cublaslt.h"
#include "kernels/matmul.h"
#include "kernels/memory.h"
#include "kernels/rungs.h"
#include "kernels/stream.h"
#include "kernels/tf32.h"
#include "tests/doubles/cublaslt/loaded.h"
#include "tests/harness/expect_error.h"
#include "tests/harness/worst.h"

namespace holt::test {
namespace {

constexpr Device kGpu{Device::cuda, 0};

struct Problem {
  Tensor x, w, bias;
  Activation activation = Activation::none;

  Problem(int64_t rows, int64_t in, int64_t out, uint64_t seed, Activation a = Activation::none) : activation(a) {
    Generator g(seed);
    x = normal({rows, in}, 0, 1, g), w = normal({out, in}, 0, 1, g), bias = normal({out}, 0, 1, g);
  }
  Tensor on(Device d) const { return linear(x.to(d), w.to(d), bias.to(d), activation).to(Device::cpu); }
};

double distance(const Tensor& a, const Tensor& b) {
  double most = 0;
  for (int64_t i = 0; i < a.numel(); ++i)
    test::raise(most, std::abs(double{a.data<float>()[i]} - double{b.data<float>()[i]}));
  return most;
}

// The largest difference between the cuda device and the cpu; sums of `in` products of about 1.
double distance_of(const Problem& p) { return distance(p.on(kGpu), p.on(Device::cpu)); }

constexpr double kTolerance = 1e-4;

bool library_is_mapped() {
  std::ifstream maps("/proc/self/maps");
  std::stringstream text;
  text << maps.rdbuf();
  return text.str().find("libcublasLt") != std::string::npos;
}

[[noreturn]] void say(const std::string& text) {
  std::fprintf(stderr, "%s\n", text.c_str());
  std::_Exit(0);
}

class Cublaslt : public testing::Test {
 protected:
  size_t products() const { return HOLT_LT(products)(); }
};

TEST_F(Cublaslt, IsTheRungThatIsTaken) {
  const Problem p(5, 16, 8, 1);
  const size_t before = products();
  EXPECT_LT(distance_of(p), kTolerance);
  EXPECT_EQ(products(), before + 1);
  EXPECT_NE(cuda::cublaslt::version().find("libcublasLt.so"), std::string::npos);
  const ScopedRung own("matmul", "naive");
  EXPECT_LT(distance_of(p), kTolerance);
  EXPECT_EQ(products(), before + 1);
  EXPECT_EQ(cuda::cublaslt::version(), "not opened: own kernels are chosen");
}

TEST_F(Cublaslt, FallsBackByTheEpilogue) {
  const Problem tanh(5, 16, 8, 2, Activation::gelu_tanh), other(6, 16, 8, 3, Activation::gelu_tanh);
  const size_t before = products();
  HOLT_LT(refuse_epilogue)(CUBLASLT_EPILOGUE_GELU_BIAS);  // product and bias, then holt's own gelu
  EXPECT_LT(distance_of(tanh), kTolerance);
  EXPECT_EQ(products(), before + 1);
  HOLT_LT(refuse_epilogue)(CUBLASLT_EPILOGUE_BIAS);  // nothing at all: holt's own kernel
  const Problem plain(7, 16, 8, 4);
  EXPECT_LT(distance_of(plain), kTolerance);
  EXPECT_EQ(products(), before + 1);
  HOLT_LT(refuse_epilogue)(0);
  EXPECT_LT(distance_of(plain), kTolerance);  // what was not found is not asked for again
  EXPECT_EQ(products(), before + 1);
  EXPECT_LT(distance_of(other), kTolerance);
  EXPECT_EQ(products(), before + 2);
}

TEST_F(Cublaslt, DeclinesWhatItMayNotBeAsked) {
  const Workspace memory(kGpu, 4096);
  float* const m = memory.as<float>();
  const Cuda gpu = current_cuda(0);
  const auto asked = [&](Matmul p, const void* bias, void* pre) {
    return cuda::cublaslt::matmul(gpu, DType::f32, p, m, m + 64, bias, m + 128, pre);
  };
  EXPECT_TRUE(asked({1, 4, 4, 4}, m + 256, nullptr));
  for (Matmul p : {Matmul{0, 4, 4, 4},
                   {1, 0, 4, 4},
                   {1, 4, 0, 4},
                   {1, 4, 4, 0},
                   {1, int64_t{1} << 31, 4, 4},
                   {1, 4, int64_t{1} << 31, 4},
                   {1, 4, 4, int64_t{1} << 31},
                   {int64_t{1} << 31, 4, 4, 4}})
    EXPECT_FALSE(asked(p, nullptr, nullptr));
  EXPECT_FALSE(asked({1, 4, 4, 4}, m + 257, nullptr));  // a bias off 16 bytes
  EXPECT_FALSE(asked({1, 4, 4, 4}, m + 256, m + 512));  // two copies of one thing
  EXPECT_FALSE(cuda::cublaslt::weight_gradient(gpu, DType::f32, 0, 4, 4, m, m + 64, m + 128, m + 256));
  synchronize(kGpu);
}

TEST_F(Cublaslt, AFailureNamesTheCallTheShapeAndTheStatus) {
  const Problem p(5, 16, 8, 5);
  p.on(kGpu);
  HOLT_LT(fail_next)(CUBLAS_STATUS_EXECUTION_FAILED);
  EXPECT_ERROR(p.on(kGpu), "cublasLtMatmul: CUBLAS_STATUS_EXECUTION_FAILED");
  HOLT_LT(fail_next)(CUBLAS_STATUS_EXECUTION_FAILED);
  EXPECT_ERROR(p.on(kGpu), "D [8, 5] = Aᵀ B over 16, 1 of them, f32");
  EXPECT_LT(distance_of(p), kTolerance);
}

TEST_F(Cublaslt, WhatItDoesNotSupportAfterAllRunsOnOwnKernels) {
  const Problem p(5, 32, 8, 11);
  const size_t before = products();
  HOLT_LT(fail_next)(CUBLAS_STATUS_NOT_SUPPORTED);
  EXPECT_LT(distance_of(p), kTolerance);
  EXPECT_LT(distance_of(p), kTolerance);
  EXPECT_EQ(products(), before);
}

TEST_F(Cublaslt, BackwardMakesWeightAndBiasGradientInOneProduct) {
  const auto gradients = [](Device d) {
    const Problem p(19, 16, 8, 6);
    const Tensor x = p.x.to(d).requires_grad_(), w = p.w.to(d).requires_grad_(), b = p.bias.to(d).requires_grad_();
    sum(linear(x, w, b)).backward();
    return std::vector<Tensor>{x.grad().to(Device::cpu), w.grad().to(Device::cpu), b.grad().to(Device::cpu)};
  };
  const size_t before = products();
  const std::vector<Tensor> got = gradients(kGpu), want = gradients(Device::cpu);
  EXPECT_EQ(products(), before + 3);  // y, dw with db, dx
  for (size_t i = 0; i < want.size(); ++i) EXPECT_LT(distance(got[i], want[i]), kTolerance) << i;
}

TEST_F(Cublaslt, Tf32IsRoundedOnlyWhereItIsAllowed) {
  const Problem p(9, 64, 8, 7);
  EXPECT_LT(distance_of(p), kTolerance);
  allow_tf32(true);
  const double rounded = distance_of(p);
  allow_tf32(false);
  EXPECT_GT(rounded, 1e-3);
  EXPECT_LT(rounded, 0.1);
  EXPECT_LT(distance_of(p), kTolerance);
}

TEST_F(Cublaslt, ThreadsShareItAndNothingIsLeft) {
  const auto work = [](uint64_t thread, double* worst) {
    for (uint64_t i = 0; i < 20; ++i)
      *worst = std::max(*worst,
                        distance_of({5, 16, 8 + 8 * static_cast<int64_t>(i % 4), thread * 100 + i, Activation::relu}));
  };
  std::vector<double> worst(4);
  const auto run = [&] {
    std::vector<std::thread> threads;
    for (uint64_t t = 0; t < worst.size(); ++t) threads.emplace_back(work, t, &worst[t]);
    for (std::thread& t : threads) t.join();
  };
  run();
  const size_t live = HOLT_LT(live)();  // the plans
  run();
  EXPECT_EQ(HOLT_LT(live)(), live);
  for (double w : worst) EXPECT_LT(w, kTolerance);
}

TEST_F(Cublaslt, ACapturedProductReadsWhatIsThereAtItsLaunch) {
  const Matmul p{1, 5, 8, 16};
  const auto rows = [](float value) { return std::vector<float>(16 * 8, value); };
  const Workspace memory(kGpu, 3 * 1024);
  float *const a = memory.as<float>(), *const b = a + 256, *const c = b + 256;
  const auto put = [&](float* to, float value) {
    const std::vector<float> host = rows(value);
    copy_bytes(kGpu, to, Device::cpu, host.data(), host.size() * sizeof(float));
  };
  const auto product = [&] {
    ASSERT_TRUE(cuda::cublaslt::matmul(current_cuda(0), DType::f32, p, a, b, nullptr, c, nullptr));
  };
  put(a, 1), put(b, 1);
  product();  // plans
  synchronize(kGpu);
  const cudaStream_t stream = current_cuda(0).stream;
  cudaGraph_t graph{};
  cudaGraphExec_t executable{};
  ASSERT_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), cudaSuccess);
  product();
  ASSERT_EQ(cudaStreamEndCapture(stream, &graph), cudaSuccess);
  ASSERT_EQ(cudaGraphInstantiate(&executable, graph, 0), cudaSuccess);
  for (float value : {2.0f, 3.0f}) {
    put(b, value);
    ASSERT_EQ(cudaGraphLaunch(executable, stream), cudaSuccess);
    std::vector<float> got(5 * 8);
    copy_bytes(Device::cpu, got.data(), kGpu, c, got.size() * sizeof(float));
    EXPECT_EQ(got, std::vector<float>(5 * 8, 16 * value));
  }
  cudaGraphExecDestroy(executable);
  cudaGraphDestroy(graph);
}

// Each in a process of its own: the library is opened once, the environment is read once.
class CublasltDeathTest : public testing::Test {
 protected:
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
  testing::ExitedWithCode exited{0};
};

void say_whether_mapped(const char* kernels) {
  setenv("HOLT_KERNELS", kernels, 1);
  const double error = distance_of({5, 16, 8, 8});
  say(format("error below tolerance {}, mapped {}", error < kTolerance, library_is_mapped()));
}
TEST_F(CublasltDeathTest, OwnKernelsNeverOpenIt) {
  EXPECT_EXIT(say_whether_mapped("own"), exited, "error below tolerance true, mapped false");
  EXPECT_EXIT(say_whether_mapped("vendor"), exited, "error below tolerance true, mapped true");
}

void run_without_the_library() {
  setenv("HOLT_CUBLASLT_LIBRARY", "/nowhere/libcublasLt.so", 1);
  testing::internal::CaptureStderr();
  const double first = distance_of({5, 16, 8, 9}), second = distance_of({5, 24, 8, 10});
  const std::string text = testing::internal::GetCapturedStderr();
  const std::string note = "holt: cuBLASLt was not opened: /nowhere/libcublasLt.so (";
  const bool once =
      text.starts_with(note) && text.find(note, 1) == text.npos && text.find("Own kernels run instead") != text.npos;
  const bool told = cuda::cublaslt::version().find("/nowhere/libcublasLt.so") != std::string::npos;
  say(format("right {}, one note {}, told {}", std::max(first, second) < kTolerance, once, told));
}
TEST_F(CublasltDeathTest, WithoutItOwnKernelsRunAndOneNoteSaysSo) {
  EXPECT_EXIT(run_without_the_library(), exited, "right true, one note true, told true");
}

void use_first_in_a_capture() {
  const Workspace memory(kGpu, 3 * 1024);
  float* const m = memory.as<float>();
  cudaStreamBeginCapture(current_cuda(0).stream, cudaStreamCaptureModeThreadLocal);
  try {
    cuda::cublaslt::matmul(current_cuda(0), DType::f32, {1, 4, 4, 4}, m, m + 64, nullptr, m + 128, nullptr);
  } catch (const Error& e) { say(e.message()); }
  say("no error");
}
TEST_F(CublasltDeathTest, ItsFirstUseIsNotInACapture) {
  EXPECT_EXIT(use_first_in_a_capture(), exited, "cuBLASLt: its first use on cuda:0 may not be inside a graph capture");
}

}  // namespace
}  // namespace holt::test
#endif
