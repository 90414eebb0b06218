#include "tests/doubles/cublaslt/problem.h"

#include <limits>
#include <vector>

namespace holt::cublaslt_double {
namespace {

constexpr int64_t kMostRows = std::numeric_limits<int32_t>::max();

std::string text(int64_t x) { return std::to_string(x); }
cublasStatus_t invalid(const std::string& why) { return refuse(CUBLAS_STATUS_INVALID_VALUE, why); }
cublasStatus_t unsupported(const std::string& why) { return refuse(CUBLAS_STATUS_NOT_SUPPORTED, why); }

HoltLtMatrix matrix(const Descriptor& d) {
  return {d.get<int32_t>(CUBLASLT_MATRIX_LAYOUT_TYPE),
          d.get<int32_t>(CUBLASLT_MATRIX_LAYOUT_ORDER),
          d.get<uint64_t>(CUBLASLT_MATRIX_LAYOUT_ROWS),
          d.get<uint64_t>(CUBLASLT_MATRIX_LAYOUT_COLS),
          d.get<int64_t>(CUBLASLT_MATRIX_LAYOUT_LD),
          d.get<int32_t>(CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT),
          d.get<int64_t>(CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET)};
}

bool same(const HoltLtMatrix& x, const HoltLtMatrix& y) {
  return x.type == y.type && x.order == y.order && x.rows == y.rows && x.cols == y.cols && x.ld == y.ld &&
         x.batch == y.batch && x.stride == y.stride;
}

// Elements from the first to behind the last.
int64_t extent(const HoltLtMatrix& x) {
  return (x.batch - 1) * x.stride + static_cast<int64_t>(x.cols - 1) * x.ld + static_cast<int64_t>(x.rows);
}

// Rows of the table of cublasLtMatmul's types, for real floating point with CUDA_R_32F scalars.
bool types_fit(const HoltLtCall& c) {
  const int32_t in = c.a.type, out = c.d.type;
  if (c.scale != CUDA_R_32F || c.b.type != in || c.c.type != out) return false;
  const bool f32 = in == CUDA_R_32F && out == CUDA_R_32F;
  switch (c.compute) {
    case CUBLAS_COMPUTE_32F:
    case CUBLAS_COMPUTE_32F_PEDANTIC:
      return f32 || ((in == CUDA_R_16BF || in == CUDA_R_16F) && (out == in || out == CUDA_R_32F));
    case CUBLAS_COMPUTE_32F_FAST_TF32:
    case CUBLAS_COMPUTE_32F_FAST_16BF:
    case CUBLAS_COMPUTE_32F_FAST_16F:
      return f32;
    default:
      return false;
  }
}

cublasStatus_t check_layout(const char* name, const HoltLtMatrix& x, int32_t batch) {
  const std::string n = name;
  if (x.order != CUBLASLT_ORDER_COL) return unsupported(n + ": order " + text(x.order));
  if (x.rows < 1 || x.cols < 1 || x.rows > kMostRows || x.cols > kMostRows)
    return invalid(n + ": [" + text(x.rows) + ", " + text(x.cols) + "]");
  if (x.ld < static_cast<int64_t>(x.rows) || x.ld > kMostRows)
    return invalid(n + ": leading dimension " + text(x.ld) + " for " + text(x.rows) + " rows");
  if (x.batch < 1 || x.batch != batch) return invalid(n + ": batch count " + text(x.batch));
  if (x.stride < 0) return invalid(n + ": batch stride " + text(x.stride));
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t check_aux(const HoltLtCall& c) {
  const bool bits = c.epilogue & CUBLASLT_EPILOGUE_RELU;
  const int64_t unit = bits ? 128 : 8, rows = static_cast<int64_t>(c.d.rows), cols = static_cast<int64_t>(c.d.cols);
  if (c.aux_ld % unit != 0 || c.aux_ld < rows)
    return invalid("auxiliary matrix: leading dimension " + text(c.aux_ld) + " must be a multiple of " + text(unit) +
                   " and at least " + text(rows));
  if (c.d.batch > 1 && (c.aux_stride % unit != 0 || c.aux_stride < (cols - 1) * c.aux_ld + rows))
    return invalid("auxiliary matrix: batch stride " + text(c.aux_stride));
  return CUBLAS_STATUS_SUCCESS;
}

}  // namespace

bool has_bias(uint32_t e) { return e & CUBLASLT_EPILOGUE_BIAS; }
bool has_bias_gradient(uint32_t e) { return e == CUBLASLT_EPILOGUE_BGRADA || e == CUBLASLT_EPILOGUE_BGRADB; }
bool has_aux(uint32_t e) { return e & 128; }
int64_t bytes_of(int32_t type) { return type == CUDA_R_32F ? 4 : 2; }

uint32_t alignment_of(const void* p) {
  const auto address = reinterpret_cast<uintptr_t>(p) | 256;
  return static_cast<uint32_t>(address & -address);
}

bool gather(HoltLtCall& call, const void* op, const void* a, const void* b, const void* c, const void* d) {
  const Descriptor* const o = find(op, Kind::operation, "operation");
  if (!o || !only_changed(
                *o, {CUBLASLT_MATMUL_DESC_COMPUTE_TYPE, CUBLASLT_MATMUL_DESC_SCALE_TYPE, CUBLASLT_MATMUL_DESC_TRANSA,
                     CUBLASLT_MATMUL_DESC_TRANSB, CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_MATMUL_DESC_BIAS_POINTER,
                     CUBLASLT_MATMUL_DESC_BIAS_BATCH_STRIDE, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER,
                     CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_BATCH_STRIDE}))
    return false;
  call.compute = o->get<int32_t>(CUBLASLT_MATMUL_DESC_COMPUTE_TYPE);
  call.scale = o->get<int32_t>(CUBLASLT_MATMUL_DESC_SCALE_TYPE);
  call.transpose_a = o->get<int32_t>(CUBLASLT_MATMUL_DESC_TRANSA);
  call.transpose_b = o->get<int32_t>(CUBLASLT_MATMUL_DESC_TRANSB);
  call.epilogue = o->get<uint32_t>(CUBLASLT_MATMUL_DESC_EPILOGUE);
  call.vector = o->get<void*>(CUBLASLT_MATMUL_DESC_BIAS_POINTER);
  call.vector_stride = o->get<int64_t>(CUBLASLT_MATMUL_DESC_BIAS_BATCH_STRIDE);
  call.aux = o->get<void*>(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER);
  call.aux_ld = o->get<int64_t>(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD);
  call.aux_stride = o->get<int64_t>(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_BATCH_STRIDE);
  HoltLtMatrix* const to[] = {&call.a, &call.b, &call.c, &call.d};
  const void* const from[] = {a, b, c, d};
  for (int i = 0; i < 4; ++i) {
    const Descriptor* const l = find(from[i], Kind::layout, "layout");
    if (!l || !only_changed(*l, {0, 1, 2, 3, 4, 5, 6})) return false;  // not: planes, arrays of pointers
    *to[i] = matrix(*l);
  }
  return true;
}

cublasStatus_t check_problem(const HoltLtCall& c, Sizes& sizes) {
  const char* const names[] = {"A", "B", "C", "D"};
  const HoltLtMatrix* const matrices[] = {&c.a, &c.b, &c.c, &c.d};
  for (int i = 0; i < 4; ++i)
    if (const cublasStatus_t s = check_layout(names[i], *matrices[i], c.d.batch); s != CUBLAS_STATUS_SUCCESS) return s;
  if (!types_fit(c))
    return unsupported("types: compute " + text(c.compute) + ", scale " + text(c.scale) + ", A " + text(c.a.type) +
                       ", B " + text(c.b.type) + ", C " + text(c.c.type) + ", D " + text(c.d.type));
  for (int32_t t : {c.transpose_a, c.transpose_b})
    if (t != CUBLAS_OP_N && t != CUBLAS_OP_T && t != CUBLAS_OP_C) return invalid("transpose " + text(t));
  const bool ta = c.transpose_a != CUBLAS_OP_N, tb = c.transpose_b != CUBLAS_OP_N;
  const uint64_t m = ta ? c.a.cols : c.a.rows, k = ta ? c.a.rows : c.a.cols, n = tb ? c.b.rows : c.b.cols;
  if ((tb ? c.b.cols : c.b.rows) != k)
    return invalid("inner sizes " + text(k) + " and " + text(tb ? c.b.cols : c.b.rows));
  if (c.d.rows != m || c.d.cols != n || c.c.rows != m || c.c.cols != n)
    return invalid("C and D must be [" + text(m) + ", " + text(n) + "]");
  if (c.d.batch > 1 && c.d.stride < static_cast<int64_t>(n - 1) * c.d.ld + static_cast<int64_t>(m))
    return invalid("D: batch stride " + text(c.d.stride) + " overlaps");
  switch (c.epilogue) {
    case CUBLASLT_EPILOGUE_DEFAULT:
    case CUBLASLT_EPILOGUE_RELU:
    case CUBLASLT_EPILOGUE_BIAS:
    case CUBLASLT_EPILOGUE_RELU_BIAS:
    case CUBLASLT_EPILOGUE_RELU_AUX:
    case CUBLASLT_EPILOGUE_RELU_AUX_BIAS:
    case CUBLASLT_EPILOGUE_GELU:
    case CUBLASLT_EPILOGUE_GELU_BIAS:
    case CUBLASLT_EPILOGUE_GELU_AUX:
    case CUBLASLT_EPILOGUE_GELU_AUX_BIAS:
      break;
    case CUBLASLT_EPILOGUE_BGRADA:
    case CUBLASLT_EPILOGUE_BGRADB:
      if (c.d.batch > 1) return unsupported("a bias gradient of a batch");
      break;
    default:
      return unsupported("epilogue " + text(c.epilogue));
  }
  if (c.vector_stride != 0) return unsupported("a bias for each of the batch is not modelled by the double");
  if (has_aux(c.epilogue))
    if (const cublasStatus_t s = check_aux(c); s != CUBLAS_STATUS_SUCCESS) return s;
  sizes = {static_cast<int64_t>(m), static_cast<int64_t>(n), static_cast<int64_t>(k)};
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t check_pointers(const HoltLtCall& c, uint32_t align_vector, size_t workspace_needed) {
  if (!c.a_data || !c.b_data || !c.c_data || !c.d_data) return invalid("A, B, C or D is null");
  const auto aligned = [](const void* p, uint32_t bytes) { return reinterpret_cast<uintptr_t>(p) % bytes == 0; };
  if (!aligned(c.a_data, c.align_a) || !aligned(c.b_data, c.align_b) || !aligned(c.c_data, c.align_c) ||
      !aligned(c.d_data, c.align_d))
    return invalid("A, B, C or D is less aligned than the heuristic was told");
  const bool vector = has_bias(c.epilogue) || has_bias_gradient(c.epilogue);
  if (vector && (!c.vector || !aligned(c.vector, 16) || !aligned(c.vector, align_vector)))
    return invalid("the bias is null or less aligned than 16 bytes or what the heuristic saw");
  if (has_aux(c.epilogue) && (!c.aux || !aligned(c.aux, 16)))
    return invalid("the auxiliary matrix is null or not aligned to 16 bytes");
  if (c.workspace_bytes < workspace_needed || (workspace_needed > 0 && (!c.workspace || !aligned(c.workspace, 16))))
    return invalid("workspace: " + text(static_cast<int64_t>(workspace_needed)) +
                   " bytes are needed, aligned to 16; got " + text(static_cast<int64_t>(c.workspace_bytes)));
  if (c.c_data == c.d_data && !same(c.c, c.d)) return invalid("C and D are one matrix with two layouts");

  // What is written may overlap nothing else but C, in place.
  struct Range {
    const void* data;
    int64_t bytes;
    bool written;
  };
  const int64_t rows = static_cast<int64_t>(c.d.rows), cols = static_cast<int64_t>(c.d.cols), e = bytes_of(c.d.type);
  std::vector<Range> ranges = {{c.a_data, extent(c.a) * bytes_of(c.a.type), false},
                               {c.b_data, extent(c.b) * bytes_of(c.b.type), false},
                               {c.d_data, extent(c.d) * e, true}};
  if (c.c_data != c.d_data) ranges.push_back({c.c_data, extent(c.c) * e, false});
  if (workspace_needed > 0) ranges.push_back({c.workspace, static_cast<int64_t>(workspace_needed), true});
  if (vector)
    ranges.push_back(
        {c.vector, (c.epilogue == CUBLASLT_EPILOGUE_BGRADB ? cols : rows) * e, has_bias_gradient(c.epilogue)});
  if (has_aux(c.epilogue)) {
    const int64_t elements = (c.d.batch - 1) * c.aux_stride + (cols - 1) * c.aux_ld + rows;
    ranges.push_back({c.aux, c.epilogue & CUBLASLT_EPILOGUE_RELU ? (elements + 7) / 8 : elements * e, true});
  }
  for (const Range& x : ranges)
    for (const Range& y : ranges) {
      const auto xs = reinterpret_cast<uintptr_t>(x.data), ys = reinterpret_cast<uintptr_t>(y.data);
      if (&x != &y && (x.written || y.written) && xs < ys + static_cast<uintptr_t>(y.bytes) &&
          ys < xs + static_cast<uintptr_t>(x.bytes))
        return invalid("what is written overlaps something else");
    }
  return CUBLAS_STATUS_SUCCESS;
}

uint64_t fingerprint(const HoltLtCall& c) {
  uint64_t hash = 0xcbf29ce484222325;
  const auto add = [&](uint64_t x) { hash = (hash ^ x) * 0x100000001b3 ^ hash >> 29; };
  for (const HoltLtMatrix& x : {c.a, c.b, c.c, c.d})
    for (uint64_t v :
         {uint64_t(x.type), uint64_t(x.order), x.rows, x.cols, uint64_t(x.ld), uint64_t(x.batch), uint64_t(x.stride)})
      add(v);
  for (uint64_t v : {uint64_t(c.compute), uint64_t(c.scale), uint64_t(c.transpose_a), uint64_t(c.transpose_b),
                     uint64_t(c.epilogue), uint64_t(c.aux_ld), uint64_t(c.aux_stride), uint64_t(c.vector_stride)})
    add(v);
  return hash;
}

}  // namespace holt::cublaslt_double
