// Whether the double of cuBLASLt would catch holt's mistakes: holt's own calls are recorded, then replayed with one
// field changed. Every change must be refused or change a result, but for those that are listed, with the reason, as
// meaning the same. And whether the double's descriptors are those of the real library.
#include <gtest/gtest.h>

#if !defined(HOLT_CUDART_DOUBLE)
TEST(CublasltDouble, IsPartOfBuildsWithHoltCudaDouble) {
  GTEST_SKIP() << "this build has no doubles of NVIDIA's libraries";
}
#else

#include <dlfcn.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <vector>

#include "kernels/cuda/cublaslt.h"
#include "kernels/memory.h"
#include "kernels/stream.h"
#include "kernels/tf32.h"
#include "tests/doubles/cublaslt/player.h"

namespace holt::test {
namespace {

// What holt asks of the library for one product; the data is zeros.
std::vector<HoltLtCall> recorded(const std::function<bool(Cuda, std::byte*)>& product) {
  std::vector<HoltLtCall> calls;
  const size_t bytes = size_t{1} << 20;
  const Workspace memory(kGpu, bytes);
  const std::vector<std::byte> zeros(bytes);
  copy_bytes(kGpu, memory.as<void>(), Device::cpu, zeros.data(), bytes);
  HOLT_LT(observe)
  ([](const HoltLtCall* c, void* to) { static_cast<std::vector<HoltLtCall>*>(to)->push_back(*c); }, &calls);
  EXPECT_TRUE(product(current_cuda(0), memory.as<std::byte>()));
  HOLT_LT(observe)(nullptr, nullptr);
  synchronize(kGpu);
  return calls;
}

// Pieces of `memory` for a product's operands, 128 KiB each.
std::vector<HoltLtCall> recorded(const Matmul& p, DType t, bool bias, bool pre) {
  return recorded([&](Cuda gpu, std::byte* m) {
    const size_t piece = size_t{1} << 17;
    return cuda::cublaslt::matmul(gpu, t, p, m, m + piece, bias ? m + 2 * piece : nullptr, m + 3 * piece,
                                  pre ? m + 4 * piece : nullptr);
  });
}

struct Mutation {
  std::string name;
  std::function<void(Play&)> change;
  std::string equivalent = {};  ///< why it means the same; empty: it must be noticed
};

void mutate_matrix(std::vector<Mutation>& all, const std::string& name, HoltLtMatrix HoltLtCall::*x,
                   const HoltLtCall& call) {
  const HoltLtMatrix& m = call.*x;
  for (int32_t type : {CUDA_R_32F, CUDA_R_16F, CUDA_R_16BF, CUDA_R_64F, CUDA_R_8I})
    if (type != m.type) all.push_back({name + " type", [=](Play& p) { (p.call.*x).type = type; }});
  all.push_back({name + " row-major", [=](Play& p) { (p.call.*x).order = CUBLASLT_ORDER_ROW; }});
  for (int by : {-1, 1}) {
    all.push_back({name + " rows", [=](Play& p) { (p.call.*x).rows += by; }});
    all.push_back({name + " cols", [=](Play& p) { (p.call.*x).cols += by; }});
    all.push_back({name + " ld", [=](Play& p) { (p.call.*x).ld += by; }});
    all.push_back({name + " batch", [=](Play& p) { (p.call.*x).batch += by; }});
    if (m.batch > 1) all.push_back({name + " stride", [=](Play& p) { (p.call.*x).stride += by; }});
  }
  all.push_back({name + " ld doubled", [=](Play& p) { (p.call.*x).ld *= 2; }});
  if (m.rows != m.cols)
    all.push_back({name + " rows and cols swapped", [=](Play& p) {
                     std::swap((p.call.*x).rows, (p.call.*x).cols);
                     (p.call.*x).ld = static_cast<int64_t>((p.call.*x).rows);
                   }});
  if (m.batch > 1 && m.stride != 0) all.push_back({name + " stride 0", [=](Play& p) { (p.call.*x).stride = 0; }});
}

std::vector<Mutation> mutations(const HoltLtCall& call) {
  std::vector<Mutation> all;
  for (int32_t compute :
       {CUBLAS_COMPUTE_16F, CUBLAS_COMPUTE_32F, CUBLAS_COMPUTE_32F_PEDANTIC, CUBLAS_COMPUTE_32F_FAST_TF32,
        CUBLAS_COMPUTE_32F_FAST_16F, CUBLAS_COMPUTE_32F_FAST_16BF, CUBLAS_COMPUTE_64F, CUBLAS_COMPUTE_32I})
    if (compute != call.compute)
      all.push_back({format("compute {}", compute), [=](Play& p) { p.call.compute = compute; },
                     compute == CUBLAS_COMPUTE_32F_PEDANTIC && call.compute == CUBLAS_COMPUTE_32F
                         ? "f32 sums too, without shortcuts that CUBLAS_COMPUTE_32F may take"
                     : compute == CUBLAS_COMPUTE_32F_FAST_16F && call.compute == CUBLAS_COMPUTE_32F_FAST_TF32
                         ? "f16 has TF32's ten bits of mantissa, and these numbers are in its range"
                         : ""});
  for (int32_t scale : {CUDA_R_16F, CUDA_R_16BF, CUDA_R_64F})
    all.push_back({"scale", [=](Play& p) { p.call.scale = scale; }});
  for (int32_t op : {CUBLAS_OP_N, CUBLAS_OP_T}) {
    if (op != call.transpose_a) all.push_back({"transpose A", [=](Play& p) { p.call.transpose_a = op; }});
    if (op != call.transpose_b) all.push_back({"transpose B", [=](Play& p) { p.call.transpose_b = op; }});
  }
  all.push_back({"transpose A unknown", [](Play& p) { p.call.transpose_a = 77; }});
  all.push_back({"transpose B unknown", [](Play& p) { p.call.transpose_b = 77; }});
  for (uint32_t e : {0, 1, 2, 4, 6, 8, 32, 36, 64, 128, 130, 134, 136, 152, 160, 164, 192, 208, 256, 512})
    if (e != call.epilogue) all.push_back({format("epilogue {}", e), [=](Play& p) { p.call.epilogue = e; }});
  all.push_back({"alpha", [](Play& p) { p.call.alpha = 2; }});
  all.push_back({"beta", [](Play& p) { p.call.beta = 1; }});

  mutate_matrix(all, "A", &HoltLtCall::a, call), mutate_matrix(all, "B", &HoltLtCall::b, call);
  mutate_matrix(all, "C", &HoltLtCall::c, call), mutate_matrix(all, "D", &HoltLtCall::d, call);

  const int64_t element = call.a.type == CUDA_R_32F ? 4 : 2;
  for (auto [name, place] : {std::pair{"A", &Play::a}, {"B", &Play::b}, {"D", &Play::d}}) {
    all.push_back({format("{} null", name), [=](Play& p) { (p.*place).null = true; }});
    all.push_back({format("{} one element on", name), [=](Play& p) { (p.*place).shift = element; }});
    all.push_back({format("{} 256 bytes on", name), [=](Play& p) { (p.*place).shift = 256; }});
  }
  if (call.a.rows != call.b.rows || call.a.cols != call.b.cols || call.a.stride != call.b.stride)
    all.push_back({"A and B exchanged", [](Play& p) { std::swap(p.call.a, p.call.b); }});
  all.push_back({"C null", [](Play& p) { p.c.null = true; }});
  all.push_back({"C elsewhere", [](Play& p) { p.c_apart = true; }, "beta is 0: C is not read"});
  all.push_back({"D on A", [](Play& p) { p.d_on_a = true; }});
  const bool vector = call.epilogue & CUBLASLT_EPILOGUE_BIAS || call.epilogue == CUBLASLT_EPILOGUE_BGRADB;
  if (vector) {
    all.push_back({"vector null", [](Play& p) { p.vector.null = true; }});
    all.push_back({"vector one element on", [=](Play& p) { p.vector.shift = element; }});
    all.push_back({"vector 16 bytes on", [](Play& p) { p.vector.shift = 16; }});
    all.push_back({"vector stride", [](Play& p) { p.call.vector_stride = 1; }});
  }
  if (call.aux) {
    all.push_back({"aux null", [](Play& p) { p.aux.null = true; }});
    all.push_back({"aux one element on", [=](Play& p) { p.aux.shift = element; }});
    all.push_back({"aux 256 bytes on", [](Play& p) { p.aux.shift = 256; }});
    for (int64_t by : {-8, -1, 1, 8}) all.push_back({"aux ld", [=](Play& p) { p.call.aux_ld += by; }});
    if (call.d.batch > 1)
      for (int64_t by : {-8, -1, 1, 8}) all.push_back({"aux stride", [=](Play& p) { p.call.aux_stride += by; }});
  }
  if (call.workspace_bytes > 0) {
    all.push_back({"workspace null", [](Play& p) { p.workspace.null = true; }});
    all.push_back({"workspace smaller", [](Play& p) { --p.call.workspace_bytes; }});
    all.push_back({"workspace 8 bytes on", [](Play& p) { p.workspace.shift = 8; }});
    all.push_back({"no workspace allowed", [](Play& p) { p.call.max_workspace = 0; },
                   "another algorithm, slower; what is given beyond its need is not touched"});
  }
  for (auto [name, claim] : {std::pair{"A", &HoltLtCall::align_a},
                             {"B", &HoltLtCall::align_b},
                             {"C", &HoltLtCall::align_c},
                             {"D", &HoltLtCall::align_d}}) {
    all.push_back({format("{} said to be aligned better", name), [=](Play& p) { (p.call.*claim) *= 2; }});
    if (call.*claim > element)
      all.push_back({format("{} said to be aligned worse", name), [=](Play& p) { (p.call.*claim) /= 2; },
                     "true as well, only slower"});
  }
  const bool rounds = call.d.type != CUDA_R_32F && std::min(call.a.rows, call.a.cols) > 8;
  if (rounds) all.push_back({"sums in the output's type", [](Play& p) { p.call.reduction_mask = 7; }});
  return all;
}

class CublasltDouble : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(cublaslt_double().found()) << cublaslt_double().missing(); }
};

TEST_F(CublasltDouble, EveryMutationOfHoltsCallsIsNoticed) {
  std::vector<HoltLtCall> calls;
  const auto add = [&](std::vector<HoltLtCall> more, size_t count) {
    EXPECT_EQ(more.size(), count);
    calls.insert(calls.end(), more.begin(), more.end());
  };
  for (DType t : {DType::f32, DType::bf16, DType::f16}) {
    for (bool ta : {false, true})
      for (bool tb : {false, true}) {
        add(recorded({1, 11, 13, 17, ta, tb}, t, false, false), 1);
        if (t == DType::f16) continue;                              // as bf16, but for the name of the type
        add(recorded({1, 12, 12, 12, ta, tb}, t, true, false), 1);  // square: a wrong transpose is legal
        add(recorded({3, 5, 8, 16, ta, tb}, t, false, false), 1);
        add(recorded({3, 5, 8, 16, ta, tb, true, false}, t, true, false), 1);
        add(recorded({3, 5, 8, 16, ta, tb, false, true}, t, true, false), 1);
      }
    for (Activation a : {Activation::relu, Activation::gelu_tanh, Activation::gelu})
      for (bool pre : {false, true}) {
        add(recorded({.batch = 1, .m = 11, .n = 16, .k = 12, .activation = a}, t, true, pre), 1);
        add(recorded({.batch = 2, .m = 11, .n = 16, .k = 12, .activation = a}, t, false, pre), 1);
      }
    add(recorded({1, 6, 7, 300}, t, true, false), 1);  // a sum that uses the workspace
    add(recorded([&](Cuda gpu, std::byte* m) {
          return cuda::cublaslt::weight_gradient(gpu, t, 19, 6, 10, m, m + 65536, m + 131072, m + 196608);
        }),
        1);
  }
  allow_tf32(true);
  add(recorded({1, 11, 13, 17}, DType::f32, true, false), 1);
  allow_tf32(false);
  EXPECT_EQ(calls.back().compute, CUBLAS_COMPUTE_32F_FAST_TF32);

  size_t noticed = 0, same = 0;
  Player player;
  for (const HoltLtCall& call : calls) {
    const Outcome truth = player.play({call});
    ASSERT_FALSE(truth.refused) << truth.why;
    for (const Mutation& m : mutations(call)) {
      Play p{call};
      m.change(p);
      const Outcome outcome = player.play(p);
      const bool differs = outcome.refused || outcome.memory != truth.memory;
      EXPECT_EQ(differs, m.equivalent.empty())
          << m.name << " (epilogue " << call.epilogue << ", type " << call.a.type << ", A [" << call.a.rows << ", "
          << call.a.cols << "]" << (call.transpose_a ? "ᵀ" : "") << ", B [" << call.b.rows << ", " << call.b.cols << "]"
          << (call.transpose_b ? "ᵀ" : "") << ", batch " << call.d.batch << "): " << outcome.why;
      ++(differs ? noticed : same);
    }
  }
  RecordProperty("noticed", static_cast<int>(noticed));
  EXPECT_GT(noticed, 9000u);
  EXPECT_GT(same, 0u);
}

// Every attribute, set and asked for with every size: accepted exactly where the real library accepts it.
template <class D, class A>
struct Descriptors {
  D descriptor;
  cublasStatus_t (*set)(D, A, const void*, size_t);
  cublasStatus_t (*get)(D, A, void*, size_t, size_t*);
};
template <class D, class A>
void compare(const Descriptors<D, A>& real, const Descriptors<D, A>& ours) {
  for (int i = 0; i < 40; ++i) {
    const auto name = static_cast<A>(i);
    uint64_t real_value = 0, our_value = 0;
    size_t real_bytes = 0, our_bytes = 0;
    const cublasStatus_t known = real.get(real.descriptor, name, nullptr, 0, &real_bytes);
    EXPECT_EQ(ours.get(ours.descriptor, name, nullptr, 0, &our_bytes), known) << "attribute " << i;
    if (known == CUBLAS_STATUS_SUCCESS) {
      EXPECT_EQ(our_bytes, real_bytes) << "attribute " << i;
      EXPECT_EQ(real.get(real.descriptor, name, &real_value, real_bytes, &real_bytes), CUBLAS_STATUS_SUCCESS);
      EXPECT_EQ(ours.get(ours.descriptor, name, &our_value, our_bytes, &our_bytes), CUBLAS_STATUS_SUCCESS);
      EXPECT_EQ(our_value, real_value) << "initial value of attribute " << i;
    }
    const unsigned char zeros[16]{};
    for (size_t bytes = 1; bytes <= sizeof zeros; ++bytes)
      EXPECT_EQ(ours.set(ours.descriptor, name, zeros, bytes), real.set(real.descriptor, name, zeros, bytes))
          << "attribute " << i << " with " << bytes << " bytes";
  }
}

TEST_F(CublasltDouble, DescriptorsAreTheRealLibrarys) {  // which needs no GPU for them
  const std::string file = HOLT_CUDA_INCLUDE "/../lib64/libcublasLt.so." + std::to_string(CUBLAS_VER_MAJOR);
  if (!std::filesystem::exists(file)) GTEST_SKIP() << "there is no " << file << " to compare with";
  void* const lib = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  ASSERT_NE(lib, nullptr) << dlerror();
#define REAL(name) (reinterpret_cast<decltype(&cublasLt##name)>(dlsym(lib, "cublasLt" #name)))
  EXPECT_EQ(REAL(GetVersion)(), static_cast<size_t>(CUBLAS_VERSION));
  cublasLtMatmulDesc_t op1{}, op2{};
  REAL(MatmulDescCreate)(&op1, CUBLAS_COMPUTE_32F, CUDA_R_32F);
  LT(MatmulDescCreate)(&op2, CUBLAS_COMPUTE_32F, CUDA_R_32F);
  compare<cublasLtMatmulDesc_t, cublasLtMatmulDescAttributes_t>(
      {op1, REAL(MatmulDescSetAttribute), REAL(MatmulDescGetAttribute)},
      {op2, LT(MatmulDescSetAttribute), LT(MatmulDescGetAttribute)});
  cublasLtMatrixLayout_t layout1{}, layout2{};
  REAL(MatrixLayoutCreate)(&layout1, CUDA_R_16BF, 3, 4, 5);
  LT(MatrixLayoutCreate)(&layout2, CUDA_R_16BF, 3, 4, 5);
  compare<cublasLtMatrixLayout_t, cublasLtMatrixLayoutAttribute_t>(
      {layout1, REAL(MatrixLayoutSetAttribute), REAL(MatrixLayoutGetAttribute)},
      {layout2, LT(MatrixLayoutSetAttribute), LT(MatrixLayoutGetAttribute)});
  cublasLtMatmulPreference_t wish1{}, wish2{};
  REAL(MatmulPreferenceCreate)(&wish1);
  LT(MatmulPreferenceCreate)(&wish2);
  compare<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceAttributes_t>(
      {wish1, REAL(MatmulPreferenceSetAttribute), REAL(MatmulPreferenceGetAttribute)},
      {wish2, LT(MatmulPreferenceSetAttribute), LT(MatmulPreferenceGetAttribute)});
  REAL(MatmulDescDestroy)(op1), REAL(MatrixLayoutDestroy)(layout1), REAL(MatmulPreferenceDestroy)(wish1);
  LT(MatmulDescDestroy)(op2), LT(MatrixLayoutDestroy)(layout2), LT(MatmulPreferenceDestroy)(wish2);
#undef REAL
}

TEST_F(CublasltDouble, DestroyedDescriptorsAreRefused) {
  const size_t before = HOLT_LT(live)();
  cublasLtMatrixLayout_t l{};
  ASSERT_EQ(LT(MatrixLayoutCreate)(&l, CUDA_R_32F, 2, 2, 2), CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(HOLT_LT(live)(), before + 1);
  EXPECT_EQ(LT(MatmulDescDestroy)(reinterpret_cast<cublasLtMatmulDesc_t>(l)), CUBLAS_STATUS_INVALID_VALUE);
  EXPECT_EQ(LT(MatrixLayoutDestroy)(l), CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(LT(MatrixLayoutDestroy)(l), CUBLAS_STATUS_INVALID_VALUE);
  EXPECT_EQ(HOLT_LT(live)(), before);
}

}  // namespace
}  // namespace holt::test
#endif
