#include "tests/doubles/cublaslt/descriptors.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <set>
#include <span>

#include "tests/doubles/cublaslt/double.h"

namespace holt::cublaslt_double {
namespace {

thread_local std::string last_refusal;

std::mutex mutex;
std::set<const Descriptor*>& live() {
  static std::set<const Descriptor*> all;
  return all;
}

constexpr uint64_t kUnset = 0xffffffff;  // int32 −1

// Sizes and initial values: the header's comments; a test compares both with the real library.
constexpr Attribute kLayout[] = {{0, 4, 0}, {1, 4, 0}, {2, 8, 0}, {3, 8, 0}, {4, 8, 0},
                                 {5, 4, 1}, {6, 8, 0}, {7, 8, 0}, {8, 4, 0}};
constexpr Attribute kOperation[] = {
    {0, 4, 0},       {1, 4, 0},  {2, 4, 0},  {3, 4, 0},  {4, 4, 0},       {5, 4, 0},  {6, 4, CUBLAS_FILL_MODE_FULL},
    {7, 4, 1},       {8, 8, 0},  {10, 8, 0}, {11, 8, 0}, {12, 8, 0},      {13, 8, 0}, {14, 8, 0},
    {15, 4, 0},      {16, 4, 0}, {17, 8, 0}, {18, 8, 0}, {19, 8, 0},      {20, 8, 0}, {21, 8, 0},
    {22, 4, kUnset}, {23, 8, 0}, {24, 8, 0}, {25, 1, 0}, {26, 4, kUnset}, {31, 4, 0}, {32, 4, 0},
    {33, 4, 0},      {34, 4, 0}, {35, 4, 0}, {36, 8, 0}, {37, 4, 0},      {38, 8, 0}};
constexpr Attribute kPreference[] = {{0, 4, 0},   {1, 8, 0},   {3, 4, CUBLASLT_REDUCTION_SCHEME_MASK},
                                     {5, 4, 256}, {6, 4, 256}, {7, 4, 256},
                                     {8, 4, 256}, {9, 4, 0},   {12, 8, ~uint64_t{0}}};

std::span<const Attribute> attributes(Kind kind) {
  if (kind == Kind::layout) return kLayout;
  if (kind == Kind::operation) return kOperation;
  if (kind == Kind::preference) return kPreference;
  return {};
}

const Attribute* attribute(Kind kind, int id) {
  for (const Attribute& a : attributes(kind))
    if (a.id == id) return &a;
  return nullptr;
}

template <class Opaque>
cublasStatus_t create(Opaque* out, Kind kind, const char* what) {
  if (!out) return refuse(CUBLAS_STATUS_INVALID_VALUE, std::string(what) + ": nowhere to put it");
  auto* const d = new Descriptor{kind};
  for (const Attribute& a : attributes(kind)) d->values[static_cast<size_t>(a.id)] = a.initial;
  const std::lock_guard lock(mutex);
  live().insert(d);
  *out = reinterpret_cast<Opaque>(d);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t destroy(const void* opaque, Kind kind, const char* what) {
  Descriptor* const d = find(opaque, kind, what);
  if (!d) return CUBLAS_STATUS_INVALID_VALUE;
  const std::lock_guard lock(mutex);
  live().erase(d);
  delete d;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t set(const void* opaque, Kind kind, int id, const void* from, size_t bytes, const char* what) {
  Descriptor* const d = find(opaque, kind, what);
  const Attribute* const a = attribute(kind, id);
  if (!d) return CUBLAS_STATUS_INVALID_VALUE;
  if (!a || !from || bytes != a->bytes)
    return refuse(CUBLAS_STATUS_INVALID_VALUE, std::string(what) + ": attribute " + std::to_string(id) + " of " +
                                                   std::to_string(a ? a->bytes : 0) + " bytes was set with " +
                                                   std::to_string(from ? bytes : 0));
  d->values[static_cast<size_t>(id)] = 0;
  std::memcpy(&d->values[static_cast<size_t>(id)], from, bytes);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t get(const void* opaque, Kind kind, int id, void* to, size_t bytes, size_t* written, const char* what) {
  const Descriptor* const d = find(opaque, kind, what);
  const Attribute* const a = attribute(kind, id);
  if (!d) return CUBLAS_STATUS_INVALID_VALUE;
  if (!a || (bytes == 0 ? !written : !to || bytes != a->bytes))
    return refuse(CUBLAS_STATUS_INVALID_VALUE, std::string(what) + ": attribute " + std::to_string(id));
  if (bytes > 0) std::memcpy(to, &d->values[static_cast<size_t>(id)], bytes);
  if (written) *written = a->bytes;
  return CUBLAS_STATUS_SUCCESS;
}

}  // namespace

cublasStatus_t refuse(cublasStatus_t status, const std::string& why) {
  last_refusal = why;
  return status;
}

Descriptor* find(const void* opaque, Kind kind, const char* what) {
  auto* const d = static_cast<Descriptor*>(const_cast<void*>(opaque));
  const std::lock_guard lock(mutex);
  if (live().contains(d) && d->kind == kind) return d;
  refuse(CUBLAS_STATUS_INVALID_VALUE, std::string(what) + ": not a live descriptor of that kind");
  return nullptr;
}

bool only_changed(const Descriptor& d, std::initializer_list<int> known) {
  for (const Attribute& a : attributes(d.kind))
    if (std::find(known.begin(), known.end(), a.id) == known.end() &&
        d.values[static_cast<size_t>(a.id)] != a.initial) {
      refuse(CUBLAS_STATUS_NOT_SUPPORTED, "attribute " + std::to_string(a.id) + " is not modelled by the double");
      return false;
    }
  return true;
}

}  // namespace holt::cublaslt_double

using namespace holt::cublaslt_double;

extern "C" {

const char* holt_cublaslt_refusal(void) { return last_refusal.c_str(); }
size_t holt_cublaslt_live(void) {
  const std::lock_guard lock(mutex);
  return live().size();
}

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) { return create(handle, Kind::handle, "handle"); }
cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) { return destroy(handle, Kind::handle, "handle"); }

const char* cublasLtGetStatusName(cublasStatus_t s) {
  switch (s) {
    case CUBLAS_STATUS_SUCCESS:
      return "CUBLAS_STATUS_SUCCESS";
    case CUBLAS_STATUS_INVALID_VALUE:
      return "CUBLAS_STATUS_INVALID_VALUE";
    case CUBLAS_STATUS_NOT_SUPPORTED:
      return "CUBLAS_STATUS_NOT_SUPPORTED";
    case CUBLAS_STATUS_EXECUTION_FAILED:
      return "CUBLAS_STATUS_EXECUTION_FAILED";
    default:
      return "another status";
  }
}
const char* cublasLtGetStatusString(cublasStatus_t s) {
  return s == CUBLAS_STATUS_SUCCESS ? "success" : "refused by the double";
}
size_t cublasLtGetVersion(void) { return CUBLAS_VERSION; }

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* out, cudaDataType type, uint64_t rows, uint64_t cols,
                                          int64_t ld) {
  const cublasStatus_t status = create(out, Kind::layout, "layout");
  if (status != CUBLAS_STATUS_SUCCESS) return status;
  auto* const d = reinterpret_cast<Descriptor*>(*out);
  d->set(CUBLASLT_MATRIX_LAYOUT_TYPE, static_cast<int32_t>(type));
  d->set(CUBLASLT_MATRIX_LAYOUT_ROWS, rows);
  d->set(CUBLASLT_MATRIX_LAYOUT_COLS, cols);
  d->set(CUBLASLT_MATRIX_LAYOUT_LD, ld);
  return status;
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t d) { return destroy(d, Kind::layout, "layout"); }
cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t d, cublasLtMatrixLayoutAttribute_t a,
                                                const void* from, size_t bytes) {
  return set(d, Kind::layout, a, from, bytes, "layout");
}
cublasStatus_t cublasLtMatrixLayoutGetAttribute(cublasLtMatrixLayout_t d, cublasLtMatrixLayoutAttribute_t a, void* to,
                                                size_t bytes, size_t* written) {
  return get(d, Kind::layout, a, to, bytes, written, "layout");
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* out, cublasComputeType_t compute, cudaDataType_t scale) {
  const cublasStatus_t status = create(out, Kind::operation, "operation");
  if (status != CUBLAS_STATUS_SUCCESS) return status;
  auto* const d = reinterpret_cast<Descriptor*>(*out);
  d->set(CUBLASLT_MATMUL_DESC_COMPUTE_TYPE, static_cast<int32_t>(compute));
  d->set(CUBLASLT_MATMUL_DESC_SCALE_TYPE, static_cast<int32_t>(scale));
  return status;
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t d) { return destroy(d, Kind::operation, "operation"); }
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t d, cublasLtMatmulDescAttributes_t a,
                                              const void* from, size_t bytes) {
  return set(d, Kind::operation, a, from, bytes, "operation");
}
cublasStatus_t cublasLtMatmulDescGetAttribute(cublasLtMatmulDesc_t d, cublasLtMatmulDescAttributes_t a, void* to,
                                              size_t bytes, size_t* written) {
  return get(d, Kind::operation, a, to, bytes, written, "operation");
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* out) {
  return create(out, Kind::preference, "preference");
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t d) {
  return destroy(d, Kind::preference, "preference");
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t d,
                                                    cublasLtMatmulPreferenceAttributes_t a, const void* from,
                                                    size_t bytes) {
  return set(d, Kind::preference, a, from, bytes, "preference");
}
cublasStatus_t cublasLtMatmulPreferenceGetAttribute(cublasLtMatmulPreference_t d,
                                                    cublasLtMatmulPreferenceAttributes_t a, void* to, size_t bytes,
                                                    size_t* written) {
  return get(d, Kind::preference, a, to, bytes, written, "preference");
}
}
