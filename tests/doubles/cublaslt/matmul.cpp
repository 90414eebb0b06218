// The double's two working calls: the heuristic, and the product itself.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <mutex>
#include <vector>

#include "kernels/dtype.h"
#include "tests/doubles/cublaslt/problem.h"
#include "tests/doubles/cudart/double.h"

namespace holt::cublaslt_double {
namespace {

constexpr uint64_t kAlgorithm = 0x686f6c745f616c67;
constexpr uint32_t kRoundingReductions = CUBLASLT_REDUCTION_SCHEME_INPLACE | CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE;

// What the heuristic knew; travels in the library's opaque 64 bytes.
struct Algorithm {
  uint64_t kind, fingerprint, max_workspace, workspace;
  uint32_t reduction_mask, align_vector;
  uint16_t align_a, align_b, align_c, align_d;
};
static_assert(sizeof(Algorithm) <= sizeof(cublasLtMatmulAlgo_t));

struct Observer {
  void (*see)(const HoltLtCall*, void*) = nullptr;
  void* context = nullptr;
};
std::mutex mutex;  // guards `observer`
Observer observer;
std::atomic<size_t> products{0};
std::atomic<uint32_t> refused_epilogue{0};
std::atomic<int> next_status{CUBLAS_STATUS_SUCCESS};

double load(int32_t type, const void* p, int64_t i) {
  if (type == CUDA_R_32F) return static_cast<const float*>(p)[i];
  return type == CUDA_R_16BF ? float(static_cast<const bf16*>(p)[i]) : float(static_cast<const f16*>(p)[i]);
}
void store(int32_t type, void* p, int64_t i, double x) {
  const auto f = static_cast<float>(x);
  if (type == CUDA_R_32F)
    static_cast<float*>(p)[i] = f;
  else if (type == CUDA_R_16BF)
    static_cast<bf16*>(p)[i] = bf16(f);
  else
    static_cast<f16*>(p)[i] = f16(f);
}
double rounded(int32_t type, double x) {
  float cell;
  store(type, &cell, 0, x);
  return load(type, &cell, 0);
}

// An operand as the multipliers see it.
double multiplicand(int32_t compute, double x) {
  if (compute == CUBLAS_COMPUTE_32F_FAST_16BF) return rounded(CUDA_R_16BF, x);
  if (compute == CUBLAS_COMPUTE_32F_FAST_16F) return rounded(CUDA_R_16F, x);
  if (compute != CUBLAS_COMPUTE_32F_FAST_TF32 || !std::isfinite(x)) return x;
  const uint32_t u = std::bit_cast<uint32_t>(static_cast<float>(x));
  return std::bit_cast<float>((u + 0xfffu + (u >> 13 & 1u)) & ~0x1fffu);  // 10 bits of mantissa, nearest even
}

double gelu(double x) { return 0.5 * x * (1 + std::tanh(0.79788456080286535588 * (x + 0.044715 * x * x * x))); }

void multiply(const HoltLtCall& c, const Algorithm& algorithm) {
  if (algorithm.workspace > 0) std::memset(c.workspace, 0xff, algorithm.workspace);
  const bool ta = c.transpose_a != CUBLAS_OP_N, tb = c.transpose_b != CUBLAS_OP_N;
  const int64_t m = static_cast<int64_t>(c.d.rows), n = static_cast<int64_t>(c.d.cols),
                k = static_cast<int64_t>(ta ? c.a.rows : c.a.cols);
  const int64_t piece = algorithm.reduction_mask & kRoundingReductions ? 4 : k;
  std::vector<double> a(static_cast<size_t>(m * k)), b(static_cast<size_t>(k * n));  // op(A) [m][k], op(B)ᵀ [n][k]
  for (int64_t batch = 0; batch < c.d.batch; ++batch) {
    const auto read = [&](const HoltLtMatrix& x, const void* data, bool transposed, int64_t row, int64_t col) {
      const int64_t at = batch * x.stride + (transposed ? row * x.ld + col : col * x.ld + row);
      return multiplicand(c.compute, load(x.type, data, at));
    };
    for (int64_t i = 0; i < m; ++i)
      for (int64_t l = 0; l < k; ++l) a[static_cast<size_t>(i * k + l)] = read(c.a, c.a_data, ta, i, l);
    for (int64_t j = 0; j < n; ++j)
      for (int64_t l = 0; l < k; ++l) b[static_cast<size_t>(j * k + l)] = read(c.b, c.b_data, tb, l, j);
    for (int64_t j = 0; j < n; ++j)
      for (int64_t i = 0; i < m; ++i) {
        double sum = 0;
        for (int64_t from = 0; from < k; from += piece) {
          const double *x = a.data() + i * k, *y = b.data() + j * k;
          for (int64_t l = from; l < std::min(k, from + piece); ++l) sum += x[l] * y[l];
          if (piece < k) sum = rounded(c.d.type, sum);
        }
        const int64_t at = batch * c.d.stride + j * c.d.ld + i;
        sum *= c.alpha;
        if (c.beta != 0) sum += c.beta * load(c.c.type, c.c_data, batch * c.c.stride + j * c.c.ld + i);
        if (has_bias(c.epilogue)) sum += load(c.d.type, c.vector, i);
        if (c.epilogue & CUBLASLT_EPILOGUE_RELU) {
          if (has_aux(c.epilogue)) {
            const int64_t bit = batch * c.aux_stride + j * c.aux_ld + i;
            auto& byte = static_cast<unsigned char*>(c.aux)[bit / 8];
            byte = static_cast<unsigned char>((byte & ~(1 << bit % 8)) | (sum > 0) << bit % 8);
          }
          sum = sum > 0 ? sum : sum != sum ? sum : 0;
        } else if (c.epilogue & CUBLASLT_EPILOGUE_GELU) {
          if (has_aux(c.epilogue)) store(c.d.type, c.aux, batch * c.aux_stride + j * c.aux_ld + i, sum);
          sum = gelu(sum);
        }
        store(c.d.type, c.d_data, at, sum);
      }
  }
  if (!has_bias_gradient(c.epilogue)) return;
  const bool from_b = c.epilogue == CUBLASLT_EPILOGUE_BGRADB;
  const std::vector<double>& source = from_b ? b : a;
  for (int64_t r = 0; r < (from_b ? n : m); ++r) {
    double sum = 0;
    for (int64_t l = 0; l < k; ++l) sum += source[static_cast<size_t>(r * k + l)];
    store(c.d.type, c.vector, r, sum);
  }
}

struct Work {
  HoltLtCall call;
  Algorithm algorithm;
};

}  // namespace
}  // namespace holt::cublaslt_double

using namespace holt::cublaslt_double;

extern "C" {

void holt_cublaslt_observe(void (*see)(const HoltLtCall*, void*), void* context) {
  const std::lock_guard lock(mutex);
  observer = {see, context};
}
size_t holt_cublaslt_products(void) { return products; }
void holt_cublaslt_refuse_epilogue(uint32_t epilogue) { refused_epilogue = epilogue; }
void holt_cublaslt_fail_next(cublasStatus_t status) { next_status = status; }

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t op,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int requested,
                                              cublasLtMatmulHeuristicResult_t results[], int* returned) {
  HoltLtCall call{};
  Sizes sizes{};
  if (!find(handle, Kind::handle, "handle")) return CUBLAS_STATUS_NOT_INITIALIZED;
  const Descriptor* const wish = find(preference, Kind::preference, "preference");
  if (!wish || !only_changed(*wish, {1, 3, 5, 6, 7, 8})) return CUBLAS_STATUS_INVALID_VALUE;
  if (requested < 1 || !results || !returned)
    return refuse(CUBLAS_STATUS_INVALID_VALUE, "heuristic: no room for a result");
  *returned = 0;
  if (!gather(call, op, a, b, c, d)) return CUBLAS_STATUS_INVALID_VALUE;
  if (const cublasStatus_t s = check_problem(call, sizes); s != CUBLAS_STATUS_SUCCESS) return s;
  if (call.epilogue == refused_epilogue) return CUBLAS_STATUS_SUCCESS;  // none found

  Algorithm best{.kind = kAlgorithm,
                 .fingerprint = fingerprint(call),
                 .max_workspace = wish->get<uint64_t>(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES),
                 .workspace = 0,
                 .reduction_mask = wish->get<uint32_t>(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK),
                 .align_vector = alignment_of(call.vector),
                 .align_a = 0,
                 .align_b = 0,
                 .align_c = 0,
                 .align_d = 0};
  uint16_t* const claims[] = {&best.align_a, &best.align_b, &best.align_c, &best.align_d};
  const HoltLtMatrix* const matrices[] = {&call.a, &call.b, &call.c, &call.d};
  for (int i = 0; i < 4; ++i) {
    const auto claim = wish->get<uint32_t>(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES + i);
    if (claim == 0 || (claim & (claim - 1)) != 0 || claim < bytes_of(matrices[i]->type) || claim > 256)
      return refuse(CUBLAS_STATUS_INVALID_VALUE, "heuristic: an alignment of " + std::to_string(claim));
    *claims[i] = static_cast<uint16_t>(claim);
  }
  // A long sum is split where the partial sums have room and may be kept in f32.
  const uint64_t partial = static_cast<uint64_t>(sizes.m * sizes.n * call.d.batch) * 2 * sizeof(float);
  if (sizes.k >= 256 && best.reduction_mask & CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE && partial <= best.max_workspace)
    best.workspace = partial;
  cublasLtMatmulHeuristicResult_t& r = results[0];
  r = {};
  std::memcpy(&r.algo, &best, sizeof best);
  r.workspaceSize = best.workspace;
  r.state = CUBLAS_STATUS_SUCCESS;
  r.wavesCount = 1;
  *returned = 1;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t op, const void* alpha, const void* a_data,
                              cublasLtMatrixLayout_t a, const void* b_data, cublasLtMatrixLayout_t b, const void* beta,
                              const void* c_data, cublasLtMatrixLayout_t c, void* d_data, cublasLtMatrixLayout_t d,
                              const cublasLtMatmulAlgo_t* algo, void* workspace, size_t workspace_bytes,
                              cudaStream_t stream) {
  if (const int status = next_status.exchange(CUBLAS_STATUS_SUCCESS); status != CUBLAS_STATUS_SUCCESS)
    return refuse(static_cast<cublasStatus_t>(status), "a test wanted it");
  HoltLtCall call{};
  Sizes sizes{};
  if (!find(handle, Kind::handle, "handle")) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (!gather(call, op, a, b, c, d)) return CUBLAS_STATUS_INVALID_VALUE;
  if (const cublasStatus_t s = check_problem(call, sizes); s != CUBLAS_STATUS_SUCCESS) return s;
  if (!alpha || !beta || !algo) return refuse(CUBLAS_STATUS_INVALID_VALUE, "alpha, beta or the algorithm is null");
  Algorithm chosen;
  std::memcpy(&chosen, algo, sizeof chosen);
  if (chosen.kind != kAlgorithm || chosen.fingerprint != fingerprint(call))
    return refuse(CUBLAS_STATUS_INVALID_VALUE, "the algorithm was not made for this problem");
  std::memcpy(&call.alpha, alpha, sizeof call.alpha);
  std::memcpy(&call.beta, beta, sizeof call.beta);
  call.a_data = a_data, call.b_data = b_data, call.c_data = c_data, call.d_data = d_data;
  call.workspace = workspace, call.workspace_bytes = workspace_bytes;
  call.max_workspace = chosen.max_workspace, call.reduction_mask = chosen.reduction_mask;
  call.align_a = chosen.align_a, call.align_b = chosen.align_b;
  call.align_c = chosen.align_c, call.align_d = chosen.align_d;
  call.stream = stream;
  if (const cublasStatus_t s = check_pointers(call, chosen.align_vector, chosen.workspace); s != CUBLAS_STATUS_SUCCESS)
    return s;
  {
    const std::lock_guard lock(mutex);
    if (observer.see) observer.see(&call, observer.context);
  }
  ++products;
  holt_double_enqueue(
      stream, [](void* w) { multiply(static_cast<Work*>(w)->call, static_cast<Work*>(w)->algorithm); },
      new Work{call, chosen}, [](void* w) { delete static_cast<Work*>(w); });
  return CUBLAS_STATUS_SUCCESS;
}
}
