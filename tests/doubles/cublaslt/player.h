// Plays a recorded call of cublasLtMatmul again, as it was or changed, through the library's whole interface.
#pragma once
#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "kernels/memory.h"
#include "kernels/philox.h"
#include "kernels/stream.h"
#include "tests/doubles/cublaslt/loaded.h"

namespace holt::test {

inline constexpr Device kGpu{Device::cuda, 0};

struct Outcome {
  bool refused = false;
  std::string why = {};
  std::vector<std::byte> memory = {};  ///< all of it but the workspace
};

// A call to play: shifts of the recorded pointers (in bytes), and which are null.
struct Play {
  HoltLtCall call;
  struct Place {
    int64_t shift = 0;
    bool null = false;
  };
  Place a{}, b{}, c{}, d{}, vector{}, aux{}, workspace{};
  bool c_apart = false, d_on_a = false;
};

/// Plays calls on memory of its own: every operand in a region with room around it, filled with numbers, aligned as the
/// recorded pointer was.
class Player {
 public:
  Outcome play(Play p) {
    prepare(p.call.a.type);
    std::byte* const base = memory_.as<std::byte>();
    const auto place = [&](size_t region, const void* recorded, const Play::Place& at) -> std::byte* {
      if (at.null || !recorded) return nullptr;
      return base + region * kRegion + kRegion / 4 + reinterpret_cast<uintptr_t>(recorded) % 256 + at.shift;
    };
    HoltLtCall& c = p.call;
    c.a_data = place(0, c.a_data, p.a), c.b_data = place(1, c.b_data, p.b);
    void* const d = place(2, c.d_data, p.d);
    c.c_data = p.c_apart ? place(3, c.d_data, p.c) : p.c.null ? nullptr : d;
    c.d_data = p.d_on_a ? const_cast<void*>(c.a_data) : d;
    c.vector = place(4, c.vector, p.vector), c.aux = place(5, c.aux, p.aux);
    c.workspace = p.workspace.null || c.workspace_bytes == 0 ? nullptr : base + kBytes + p.workspace.shift;
    const size_t before = HOLT_LT(products)();
    const cublasStatus_t status = run(c);
    if (status != CUBLAS_STATUS_SUCCESS) {
      EXPECT_EQ(HOLT_LT(products)(), before) << "refused, and yet it was queued";
      return {true, HOLT_LT(refusal)(), {}};
    }
    Outcome result;
    result.memory.resize(kBytes);
    copy_bytes(Device::cpu, result.memory.data(), kGpu, base, kBytes);
    filled_for_ = -1;
    return result;
  }

 private:
  static constexpr size_t kRegion = size_t{1} << 14, kBytes = 6 * kRegion, kWorkspace = size_t{1} << 14;

  // Fills the memory with numbers in [−1, 1), told apart by position.
  void prepare(int32_t type) {
    if (filled_for_ == type) return;
    std::vector<std::byte>& numbers = numbers_[type];
    const size_t each = type == CUDA_R_32F ? 4 : 2;
    for (size_t at = numbers.size(); at < kBytes; at += each) {
      numbers.resize(at + each);
      const float x = 2 * uniform01(philox(5, 1, at).v[0]) - 1;
      const bf16 b(x);
      const f16 h(x);
      const void* const value = type == CUDA_R_32F    ? static_cast<const void*>(&x)
                                : type == CUDA_R_16BF ? &b.bits
                                                      : &h.bits;
      std::memcpy(&numbers[at], value, each);
    }
    copy_bytes(kGpu, memory_.as<void>(), Device::cpu, numbers.data(), kBytes);
    filled_for_ = type;
  }

  static cublasStatus_t run(const HoltLtCall& c) {
    cublasLtHandle_t handle{};
    cublasLtMatmulDesc_t op{};
    cublasLtMatmulPreference_t wish{};
    LT(Create)(&handle);
    LT(MatmulDescCreate)(&op, static_cast<cublasComputeType_t>(c.compute), static_cast<cudaDataType>(c.scale));
    const auto set = [&](cublasLtMatmulDescAttributes_t name, auto value) {
      EXPECT_EQ(LT(MatmulDescSetAttribute)(op, name, &value, sizeof value), CUBLAS_STATUS_SUCCESS);
    };
    set(CUBLASLT_MATMUL_DESC_TRANSA, c.transpose_a), set(CUBLASLT_MATMUL_DESC_TRANSB, c.transpose_b);
    set(CUBLASLT_MATMUL_DESC_EPILOGUE, c.epilogue), set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, c.vector);
    set(CUBLASLT_MATMUL_DESC_BIAS_BATCH_STRIDE, c.vector_stride);
    set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, c.aux), set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, c.aux_ld);
    set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_BATCH_STRIDE, c.aux_stride);
    const HoltLtMatrix* const from[] = {&c.a, &c.b, &c.c, &c.d};
    cublasLtMatrixLayout_t layouts[4]{};
    for (int i = 0; i < 4; ++i) {
      LT(MatrixLayoutCreate)
      (&layouts[i], static_cast<cudaDataType>(from[i]->type), from[i]->rows, from[i]->cols, from[i]->ld);
      const auto attribute = [&](cublasLtMatrixLayoutAttribute_t name, auto value) {
        EXPECT_EQ(LT(MatrixLayoutSetAttribute)(layouts[i], name, &value, sizeof value), CUBLAS_STATUS_SUCCESS);
      };
      attribute(CUBLASLT_MATRIX_LAYOUT_ORDER, from[i]->order);
      attribute(CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, from[i]->batch);
      attribute(CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, from[i]->stride);
    }
    LT(MatmulPreferenceCreate)(&wish);
    const auto prefer = [&](int name, auto value) {
      EXPECT_EQ(LT(MatmulPreferenceSetAttribute)(wish, static_cast<cublasLtMatmulPreferenceAttributes_t>(name), &value,
                                                 sizeof value),
                CUBLAS_STATUS_SUCCESS);
    };
    prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, c.max_workspace);
    prefer(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, c.reduction_mask);
    int name = CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES;
    for (uint32_t bytes : {c.align_a, c.align_b, c.align_c, c.align_d}) prefer(name++, bytes);
    cublasLtMatmulHeuristicResult_t best{};
    int found = 0;
    cublasStatus_t status =
        LT(MatmulAlgoGetHeuristic)(handle, op, layouts[0], layouts[1], layouts[2], layouts[3], wish, 1, &best, &found);
    if (status == CUBLAS_STATUS_SUCCESS)
      status = LT(Matmul)(handle, op, &c.alpha, c.a_data, layouts[0], c.b_data, layouts[1], &c.beta, c.c_data,
                          layouts[2], c.d_data, layouts[3], &best.algo, c.workspace, c.workspace_bytes, c.stream);
    for (cublasLtMatrixLayout_t l : layouts) LT(MatrixLayoutDestroy)(l);
    LT(MatmulPreferenceDestroy)(wish);
    LT(MatmulDescDestroy)(op);
    LT(Destroy)(handle);
    return status;
  }

  const Workspace memory_{kGpu, kBytes + kWorkspace};
  std::map<int32_t, std::vector<std::byte>> numbers_;  // by type
  int32_t filled_for_ = -1;
};

}  // namespace holt::test
