#include "kernels/cuda/cublaslt.h"

#include <cublasLt.h>
#include <cuda_runtime_api.h>

#include <algorithm>
#include <array>
#include <compare>
#include <limits>
#include <map>
#include <mutex>
#include <optional>
#include <utility>

#include "kernels/cuda/launch.h"
#include "kernels/cuda/runtime.h"
#include "kernels/cuda/shared_library.h"
#include "kernels/memory.h"
#include "kernels/tf32.h"
#include "kernels/unary.h"

namespace holt::cuda::cublaslt {
namespace {

const SharedLibrary& library() {
  static const SharedLibrary lib("cuBLASLt", "HOLT_CUBLASLT_LIBRARY", format("libcublasLt.so.{}", CUBLAS_VER_MAJOR));
  return lib;
}

// The functions that are called, found once.
struct Api {
#define FUNCTION(name) \
  decltype(&::cublasLt##name) name = library().function<decltype(::cublasLt##name)>("cublasLt" #name)
  FUNCTION(Create);
  FUNCTION(GetVersion);
  FUNCTION(GetStatusName);
  FUNCTION(GetStatusString);
  FUNCTION(MatrixLayoutCreate);
  FUNCTION(MatrixLayoutDestroy);
  FUNCTION(MatrixLayoutSetAttribute);
  FUNCTION(MatmulDescCreate);
  FUNCTION(MatmulDescDestroy);
  FUNCTION(MatmulDescSetAttribute);
  FUNCTION(MatmulPreferenceCreate);
  FUNCTION(MatmulPreferenceDestroy);
  FUNCTION(MatmulPreferenceSetAttribute);
  FUNCTION(MatmulAlgoGetHeuristic);
  FUNCTION(Matmul);
#undef FUNCTION
};
const Api& api() {
  static const Api functions;
  return functions;
}

// One product in the library's terms (cublaslt.h derives them): D [rows, cols] = A·B over k. Two calls that are equal
// here can share an algorithm: alignments are what the real pointers have.
struct Problem {
  DType type;
  bool tf32;
  bool transpose_a, transpose_b;
  int64_t rows, cols, k;
  int64_t batch, stride_a, stride_b;
  uint32_t epilogue;
  uint32_t align_a, align_b, align_d, align_vector, align_aux;  // bytes, up to 256
  auto operator<=>(const Problem&) const = default;
};
struct Pointers {
  const void *a, *b;
  void* d;
  void *vector, *aux;  // bias or its gradient; what gelu reads
};

std::string to_string(const Problem& p) {
  return format("D [{}, {}] = A{} B{} over {}, {} of them, {}{}, epilogue {}", p.rows, p.cols, p.transpose_a ? "ᵀ" : "",
                p.transpose_b ? "ᵀ" : "", p.k, p.batch, p.type, p.tf32 ? " as TF32" : "", p.epilogue);
}

void check_status(cublasStatus_t status, const char* call, const Problem& p) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  fail("{}: {} ({}), for column-major {}", call, api().GetStatusName(status), api().GetStatusString(status), p);
}

// A descriptor that lives as long as its owner.
template <class D>
class Descriptor {
 public:
  using Destroy = cublasStatus_t (*)(D);
  Descriptor(D d, Destroy destroy) : d_(d), destroy_(destroy) {}
  ~Descriptor() {
    if (d_) destroy_(d_);
  }
  Descriptor(Descriptor&& o) noexcept : d_(std::exchange(o.d_, nullptr)), destroy_(o.destroy_) {}
  Descriptor& operator=(Descriptor&&) = delete;
  operator D() const { return d_; }

 private:
  D d_;
  Destroy destroy_;
};

cudaDataType data_type(DType t) { return t == DType::f32 ? CUDA_R_32F : t == DType::bf16 ? CUDA_R_16BF : CUDA_R_16F; }

Descriptor<cublasLtMatrixLayout_t> layout(const Problem& p, int64_t rows, int64_t cols, int64_t stride) {
  cublasLtMatrixLayout_t made = nullptr;
  check_status(api().MatrixLayoutCreate(&made, data_type(p.type), rows, cols, rows), "cublasLtMatrixLayoutCreate", p);
  Descriptor<cublasLtMatrixLayout_t> owner(made, api().MatrixLayoutDestroy);
  const auto set = [&](cublasLtMatrixLayoutAttribute_t name, auto value) {
    check_status(api().MatrixLayoutSetAttribute(made, name, &value, sizeof value), "cublasLtMatrixLayoutSetAttribute",
                 p);
  };
  if (p.batch > 1) {
    set(CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, static_cast<int32_t>(p.batch));
    set(CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, stride);
  }
  return owner;
}

// Made for every call, because it holds the call's pointers and threads share plans.
Descriptor<cublasLtMatmulDesc_t> operation(const Problem& p, const Pointers& at) {
  cublasLtMatmulDesc_t made = nullptr;
  check_status(api().MatmulDescCreate(&made, p.tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F, CUDA_R_32F),
               "cublasLtMatmulDescCreate", p);
  Descriptor<cublasLtMatmulDesc_t> owner(made, api().MatmulDescDestroy);
  const auto set = [&](cublasLtMatmulDescAttributes_t name, auto value) {
    check_status(api().MatmulDescSetAttribute(made, name, &value, sizeof value), "cublasLtMatmulDescSetAttribute", p);
  };
  set(CUBLASLT_MATMUL_DESC_TRANSA, static_cast<int32_t>(p.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N));
  set(CUBLASLT_MATMUL_DESC_TRANSB, static_cast<int32_t>(p.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N));
  set(CUBLASLT_MATMUL_DESC_EPILOGUE, p.epilogue);
  if (at.vector) set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, at.vector);
  if (at.aux) {
    set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, at.aux);
    set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, p.rows);
    if (p.batch > 1) set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_BATCH_STRIDE, p.rows * p.cols);
  }
  return owner;
}

// What a problem needs and does not change from call to call.
struct Plan {
  Plan(const Problem& p)
      : a(p.transpose_a ? layout(p, p.k, p.rows, p.stride_a) : layout(p, p.rows, p.k, p.stride_a)),
        b(p.transpose_b ? layout(p, p.cols, p.k, p.stride_b) : layout(p, p.k, p.cols, p.stride_b)),
        d(layout(p, p.rows, p.cols, p.rows * p.cols)) {}
  Descriptor<cublasLtMatrixLayout_t> a, b, d;
  cublasLtMatmulAlgo_t algorithm{};
  size_t workspace = 0;
  bool supported = false;
};

// One a device; lives until the process ends, because at exit CUDA may be gone before its destructor runs.
class Library {
 public:
  static Library& of(Cuda gpu) {
    static std::array<std::once_flag, 128> once;
    static std::array<Library*, 128> made{};
    std::call_once(once[gpu.index], [&] { made[gpu.index] = new Library(gpu); });
    return *made[gpu.index];
  }

  // Runs the problem; false if the library has no algorithm for it.
  bool run(Cuda gpu, const Problem& p, const Pointers& at) {
    const Descriptor<cublasLtMatmulDesc_t> op = operation(p, at);
    const Plan* const plan = supported_plan(p, op);
    if (!plan) return false;
    const float one = 1, zero = 0;
    std::optional<Workspace> workspace;
    if (plan->workspace > 0) workspace.emplace(gpu, plan->workspace);
    const cublasStatus_t status =
        api().Matmul(handle_, op, &one, at.a, plan->a, at.b, plan->b, &zero, at.d, plan->d, at.d, plan->d,
                     &plan->algorithm, workspace ? workspace->as<void>() : nullptr, plan->workspace, gpu.stream);
    if (status == CUBLAS_STATUS_NOT_SUPPORTED) {  // nothing was started: the heuristic promised too much
      give_up(p);
      return false;
    }
    check_status(status, "cublasLtMatmul", p);
    check_launch(gpu, {"cublasLtMatmul", {0, 0, 0}, {0, 0, 0}, 0});  // which waits, where that is wished
    return true;
  }

 private:
  explicit Library(Cuda gpu) {
    const Device d = device_of(gpu);
    check(!capturing(gpu),
          "cuBLASLt: its first use on {} may not be inside a graph capture; run the step once before it is captured",
          d);
    int major = 0;
    check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, gpu.index) == cudaSuccess,
          "cuBLASLt: the compute capability of {} is not known", d);
    workspace_limit_ = (major >= 9 ? size_t{32} : size_t{4}) << 20;
    const cublasStatus_t status = api().Create(&handle_);
    check(status == CUBLAS_STATUS_SUCCESS, "cublasLtCreate on {}: {} ({}); HOLT_KERNELS=own does without cuBLASLt", d,
          api().GetStatusName(status), api().GetStatusString(status));
  }

  const Plan* supported_plan(const Problem& p, cublasLtMatmulDesc_t op) {
    const std::lock_guard lock(mutex_);
    auto known = plans_.find(p);
    if (known == plans_.end()) {
      Plan plan(p);
      choose_algorithm(p, op, plan);
      known = plans_.emplace(p, std::move(plan)).first;
    }
    return known->second.supported ? &known->second : nullptr;  // a map's elements stay where they are
  }
  void give_up(const Problem& p) {
    const std::lock_guard lock(mutex_);
    plans_.at(p).supported = false;
  }

  void choose_algorithm(const Problem& p, cublasLtMatmulDesc_t op, Plan& plan) const {
    cublasLtMatmulPreference_t made = nullptr;
    check_status(api().MatmulPreferenceCreate(&made), "cublasLtMatmulPreferenceCreate", p);
    const Descriptor<cublasLtMatmulPreference_t> preference(made, api().MatmulPreferenceDestroy);
    const auto set = [&](cublasLtMatmulPreferenceAttributes_t name, auto value) {
      check_status(api().MatmulPreferenceSetAttribute(made, name, &value, sizeof value),
                   "cublasLtMatmulPreferenceSetAttribute", p);
    };
    set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, uint64_t{workspace_limit_});
    set(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, uint32_t{CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE});
    set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, p.align_a);
    set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, p.align_b);
    set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, p.align_d);
    set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, p.align_d);
    cublasLtMatmulHeuristicResult_t best{};
    int found = 0;
    const cublasStatus_t status =
        api().MatmulAlgoGetHeuristic(handle_, op, plan.a, plan.b, plan.d, plan.d, preference, 1, &best, &found);
    if (status == CUBLAS_STATUS_NOT_SUPPORTED || (status == CUBLAS_STATUS_SUCCESS && found == 0)) return;
    check_status(status, "cublasLtMatmulAlgoGetHeuristic", p);
    if (best.state != CUBLAS_STATUS_SUCCESS) return;
    plan.algorithm = best.algo;
    plan.workspace = best.workspaceSize;
    plan.supported = true;
  }

  cublasLtHandle_t handle_ = nullptr;
  size_t workspace_limit_ = 0;
  std::mutex mutex_;
  std::map<Problem, Plan> plans_;
};

uint32_t alignment(const void* p) {
  const auto address = reinterpret_cast<uintptr_t>(p);
  return address == 0 ? 256 : static_cast<uint32_t>(std::min<uintptr_t>(256, address & -address));
}
// What vectors and the auxiliary matrix must have: below it the library's own vector loads would not be legal.
bool aligned_or_null(const void* p) { return alignment(p) >= 16; }

bool run(Cuda gpu, Problem p, const Pointers& at) {
  p.align_a = alignment(at.a), p.align_b = alignment(at.b), p.align_d = alignment(at.d);
  p.align_vector = alignment(at.vector), p.align_aux = alignment(at.aux);
  return Library::of(gpu).run(gpu, p, at);
}

// The library's sizes are 32-bit in effect; nothing to do is nothing to ask for.
bool sizes_fit(const Matmul& p) {
  constexpr int64_t most = std::numeric_limits<int32_t>::max();
  return std::min({p.batch, p.m, p.n, p.k}) > 0 && std::max({p.batch, p.m, p.n, p.k}) <= most;
}

Problem problem_of(DType t, const Matmul& p, uint32_t epilogue) {
  return {.type = t,
          .tf32 = t == DType::f32 && tf32_allowed(),
          .transpose_a = p.transpose_b,
          .transpose_b = p.transpose_a,
          .rows = p.n,
          .cols = p.m,
          .k = p.k,
          .batch = p.batch,
          .stride_a = p.shared_b ? 0 : p.k * p.n,
          .stride_b = p.shared_a ? 0 : p.m * p.k,
          .epilogue = epilogue,
          .align_a = 0,
          .align_b = 0,
          .align_d = 0,
          .align_vector = 0,
          .align_aux = 0};
}

template <class T>
void activate(Cuda gpu, Activation activation, int64_t n, const void* from, void* to) {
  const T* x = static_cast<const T*>(from);
  T* y = static_cast<T*>(to);
  if (activation == Activation::relu) unary_forward(gpu, Relu{}, n, x, y);
  if (activation == Activation::gelu) unary_forward(gpu, GeluExact{}, n, x, y);
  if (activation == Activation::gelu_tanh) unary_forward(gpu, GeluTanh{}, n, x, y);
  if (activation == Activation::silu || activation == Activation::quick_gelu)
    unary_forward(gpu, swish_of<float>(activation), n, x, y);
}

// The epilogue that makes c, and pre if it is asked for, in one call; 0 if there is none.
uint32_t fused_epilogue(const Matmul& p, bool bias, const void* pre) {
  switch (p.activation) {
    case Activation::none:
      return pre ? 0 : bias ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_DEFAULT;
    case Activation::relu:
      return pre ? 0 : bias ? CUBLASLT_EPILOGUE_RELU_BIAS : CUBLASLT_EPILOGUE_RELU;
    case Activation::gelu:
    case Activation::silu:
    case Activation::quick_gelu:
      return 0;
    case Activation::gelu_tanh:
      if (!pre) return bias ? CUBLASLT_EPILOGUE_GELU_BIAS : CUBLASLT_EPILOGUE_GELU;
      if (p.n % 8 != 0 || !aligned_or_null(pre)) return 0;  // what the library asks of its auxiliary matrix
      return bias ? CUBLASLT_EPILOGUE_GELU_AUX_BIAS : CUBLASLT_EPILOGUE_GELU_AUX;
  }
  return 0;
}

}  // namespace

bool matmul(Cuda gpu, DType t, const Matmul& given, const void* a, const void* b, const void* bias, void* c,
            void* pre) {
  Matmul p = given;
  if (p.shared_b && !p.shared_a && !p.transpose_a) {  // rows that follow each other: one tall product
    p.m *= p.batch;
    p.batch = 1;
  }
  if (!sizes_fit(p) || !aligned_or_null(bias) || (pre && p.activation == Activation::none)) return false;
  if (!library().ready()) return false;
  void* const vector = const_cast<void*>(bias);  // the library has one attribute for what it reads and what it writes
  if (const uint32_t fused = fused_epilogue(p, bias, pre))
    if (run(gpu, problem_of(t, p, fused), {b, a, c, vector, pre})) return true;
  if (p.activation == Activation::none) return false;
  void* const sums = pre ? pre : c;
  if (!run(gpu, problem_of(t, p, bias ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_DEFAULT),
           {b, a, sums, vector, nullptr}))
    return false;
  const int64_t size = p.batch * p.m * p.n;
  if (t == DType::f32) activate<float>(gpu, p.activation, size, sums, c);
  if (t == DType::bf16) activate<bf16>(gpu, p.activation, size, sums, c);
  if (t == DType::f16) activate<f16>(gpu, p.activation, size, sums, c);
  return true;
}

bool weight_gradient(Cuda gpu, DType t, int64_t rows, int64_t out, int64_t in, const void* dy, const void* x, void* dw,
                     void* db) {
  const Matmul p{.batch = 1, .m = out, .n = in, .k = rows, .transpose_a = true};
  if (!sizes_fit(p) || !aligned_or_null(db) || !library().ready()) return false;
  return run(gpu, problem_of(t, p, CUBLASLT_EPILOGUE_BGRADB), {x, dy, dw, db, nullptr});
}

std::string version() {
  if (!vendor_chosen("matmul")) return "not opened: own kernels are chosen";
  if (!library().found()) return library().missing();
  const auto get = library().function_or_null<decltype(::cublasLtGetVersion)>("cublasLtGetVersion");
  if (!get) return format("{} is no cuBLASLt: it has no cublasLtGetVersion", library().path());
  const size_t v = get();  // 10000·major + 100·minor + patch, since 13; checked against CUBLAS_VERSION by a test
  return format("{}.{}.{}, {}", v / 10000, v / 100 % 100, v % 100, library().path());
}

}  // namespace holt::cuda::cublaslt
