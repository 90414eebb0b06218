// Memory-bound: 28 bytes an element for AdamW (f32 gradients), 20 for SGD with momentum, 4 for the norm; up to 15
// flops. AdamW on ViT-B's 86 M parameters is 2.4 GB: at least 0.72 ms on an H100 (3.35 TB/s), 2.4 ms on an RTX 4090
// (1.01 TB/s); the norm 0.10 and 0.34. table: a block of 256 threads a chunk, so that small parameters share the one
// launch; 30 to 40 registers on sm_90 (75 to 100 % of an H100's threads), no shared memory for a step, 128 to 256 bytes
// for the norm. Four loads of 16 bytes a thread are 98 KB under way a multiprocessor.
#include "kernels/optimizer.h"

#include <optional>
#include <vector>

#include "kernels/gpu.cuh"
#include "kernels/optimizer_rule.h"
#include "kernels/recording.h"

namespace holt {
namespace {

constexpr int kThreads = 256;

// ---- The table: what a launch over all parameters knows of them ----

template <class G>
struct Row {
  OptimizerSlot<G> slot;
  int64_t first;  // number of the slot's first chunk
};

template <class G>
struct Table {
  Table(Gpu gpu, std::span<const OptimizerSlot<G>> slots) : count(static_cast<int>(slots.size())) {
    std::vector<Row<G>> host;
    for (const auto& slot : slots) {
      host.push_back({slot, chunks});
      chunks += detail::chunks_of(slot.size);
    }
    const size_t bytes = host.size() * sizeof(Row<G>);
    rows = static_cast<const Row<G>*>(recorded_constant(host.data(), bytes));
    if (rows) return;
    memory.emplace(gpu, bytes);
    copy_bytes(device_of(gpu), memory->template as<void>(), Device::cpu, host.data(), bytes);
    rows = memory->template as<const Row<G>>();
  }

  int64_t chunks = 0;
  int count;
  const Row<G>* rows = nullptr;     // on the device
  std::optional<Workspace> memory;  // theirs, unless a graph that is being recorded keeps them
};

template <class G>
struct Chunk {
  OptimizerSlot<G> slot;
  int64_t begin, end;
};

// The last row that begins at or before the chunk. A slot without elements begins where the next one does, so it is
// never the last.
template <class G>
__device__ Chunk<G> find_chunk(const Row<G>* rows, int count, int64_t chunk) {
  int low = 0, high = count;
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    if (rows[middle].first <= chunk)
      low = middle;
    else
      high = middle;
  }
  const OptimizerSlot<G> slot = rows[low].slot;
  const int64_t begin = (chunk - rows[low].first) * kOptimizerChunk, end = begin + kOptimizerChunk;
  return {slot, begin, end < slot.size ? end : slot.size};
}

// Four elements: 16 bytes of float, 8 of a 16-bit type.
template <class T>
__device__ bool aligned4(const T* p) {
  return reinterpret_cast<uintptr_t>(p) % (4 * sizeof(T)) == 0;
}
template <class T>
__device__ Vec<T, 4> load4(const T* p) {
  return *reinterpret_cast<const Vec<T, 4>*>(p);
}

// ---- Steps ----

// Rung 1, naive: one launch a parameter, one element a thread.
template <class Rule, class G>
__global__ void step_naive(Rule given, const StepNumbers* live, OptimizerSlot<G> slot, const StepControl* control) {
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  const StepControl now = control ? *control : StepControl{};
  if (i >= slot.size || now.skip != 0) return;
  Rule rule = detail::live_rule(live, given);
  rule.adjust(now);
  float none = 0;
  rule(slot.param[i], float(slot.grad[i]) * now.scale, Rule::states > 0 ? slot.state[0][i] : none,
       Rule::states > 1 ? slot.state[1][i] : none);
}

// Rung 2, table: one launch for all parameters, a chunk a block, four elements a thread and turn. Chunks begin at
// multiples of four elements, so a slot is aligned as a whole or not at all.
template <class Rule, class G>
__global__ void step_table(Rule given, const StepNumbers* live, const Row<G>* rows, int count,
                           const StepControl* control) {
  const StepControl now = control ? *control : StepControl{};
  if (now.skip != 0) return;
  Rule rule = detail::live_rule(live, given);
  rule.adjust(now);
  const Chunk<G> c = find_chunk(rows, count, blockIdx.x);
  const float s = now.scale;
  const G* const g = c.slot.grad;
  float *const p = c.slot.param, *const a = c.slot.state[0], *const b = c.slot.state[1];
  float none = 0;
  int64_t done = c.begin;
  if (aligned4(p) && aligned4(g) && (Rule::states < 1 || aligned4(a)) && (Rule::states < 2 || aligned4(b))) {
    done = c.end - c.end % 4;
    for (int64_t i = c.begin + 4 * threadIdx.x; i < done; i += 4 * kThreads) {
      const Vec<G, 4> gv = load4(g + i);
      Vec<float, 4> pv = load16(p + i), av{}, bv{};
      if constexpr (Rule::states > 0) av = load16(a + i);
      if constexpr (Rule::states > 1) bv = load16(b + i);
#pragma unroll
      for (int k = 0; k < 4; ++k) rule(pv[k], float(gv[k]) * s, av[k], bv[k]);
      store16(p + i, pv);
      if constexpr (Rule::states > 0) store16(a + i, av);
      if constexpr (Rule::states > 1) store16(b + i, bv);
    }
  }
  for (int64_t i = done + threadIdx.x; i < c.end; i += kThreads)
    rule(p[i], float(g[i]) * s, Rule::states > 0 ? a[i] : none, Rule::states > 1 ? b[i] : none);
}

template <class Rule, class G>
void run_naive(Gpu gpu, const Rule& rule, const StepNumbers* live, std::span<const OptimizerSlot<G>> slots,
               const StepControl* control) {
  for (const auto& slot : slots)
    launch<step_naive<Rule, G>>(gpu, {cdiv(slot.size, kThreads), kThreads}, rule, live, slot, control);
}

template <class Rule, class G>
void run_table(Gpu gpu, const Rule& rule, const StepNumbers* live, std::span<const OptimizerSlot<G>> slots,
               const StepControl* control) {
  const Table<G> table(gpu, slots);
  launch<step_table<Rule, G>>(gpu, {table.chunks, kThreads}, rule, live, table.rows, table.count, control);
}

template <class Rule, class G>
void step(Gpu gpu, size_t rung, const Rule& rule, const StepNumbers* live, std::span<const OptimizerSlot<G>> slots,
          const StepControl* control) {
  constexpr decltype(&run_naive<Rule, G>) rungs[] = {run_naive<Rule, G>, run_table<Rule, G>};
  rungs[rung](gpu, rule, live, slots, control);
}

// ---- Norm ----

// Rung 1, naive: one thread a chunk, which reads it element by element; then one thread adds the chunks.
template <class G>
__global__ void squares_naive(const Row<G>* rows, int count, int64_t chunks, float* partial) {
  const int64_t k = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (k >= chunks) return;
  const Chunk<G> c = find_chunk(rows, count, k);
  float sum = 0;
  for (int64_t i = c.begin; i < c.end; ++i) sum += float(c.slot.grad[i]) * float(c.slot.grad[i]);
  partial[k] = sum;
}

__global__ void norm_naive(int64_t chunks, const float* partial, GradNorm p, LossScale* loss_scale,
                           StepControl* control) {
  double squares = 0;
  for (int64_t k = 0; k < chunks; ++k) squares += partial[k];
  detail::finish_norm(squares, p, loss_scale, control);
}

// Rung 2, table: a block a chunk; then one block adds the chunks, a fixed share a thread.
template <class G>
__global__ void squares_table(const Row<G>* rows, int count, float* partial) {
  const Chunk<G> c = find_chunk(rows, count, blockIdx.x);
  const G* const g = c.slot.grad;
  float sum = 0;
  int64_t done = c.begin;
  if (aligned4(g)) {
    done = c.end - c.end % 4;
    for (int64_t i = c.begin + 4 * threadIdx.x; i < done; i += 4 * kThreads) {
      const Vec<G, 4> gv = load4(g + i);
#pragma unroll
      for (int k = 0; k < 4; ++k) sum += float(gv[k]) * float(gv[k]);
    }
  }
  for (int64_t i = done + threadIdx.x; i < c.end; i += kThreads) sum += float(g[i]) * float(g[i]);
  sum = block_sum(sum);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

__global__ void norm_block(int64_t chunks, const float* partial, GradNorm p, LossScale* loss_scale,
                           StepControl* control) {
  double squares = 0;
  for (int64_t k = threadIdx.x; k < chunks; k += kThreads) squares += partial[k];
  squares = block_sum(squares);
  if (threadIdx.x == 0) detail::finish_norm(squares, p, loss_scale, control);
}

template <class G>
void run_norm_naive(Gpu gpu, const GradNorm& p, std::span<const OptimizerSlot<G>> slots, LossScale* loss_scale,
                    StepControl* control) {
  const Table<G> table(gpu, slots);
  const Workspace partial(gpu, table.chunks * sizeof(float));
  launch<squares_naive<G>>(gpu, {cdiv(table.chunks, kThreads), kThreads}, table.rows, table.count, table.chunks,
                           partial.as<float>());
  launch<norm_naive>(gpu, {1, 1}, table.chunks, partial.as<const float>(), p, loss_scale, control);
}

template <class G>
void run_norm_table(Gpu gpu, const GradNorm& p, std::span<const OptimizerSlot<G>> slots, LossScale* loss_scale,
                    StepControl* control) {
  const Table<G> table(gpu, slots);
  const Workspace partial(gpu, table.chunks * sizeof(float));
  launch<squares_table<G>>(gpu, {table.chunks, kThreads}, table.rows, table.count, partial.as<float>());
  launch<norm_block>(gpu, {1, kThreads}, table.chunks, partial.as<const float>(), p, loss_scale, control);
}

}  // namespace

template <class B, class G>
void sgd_step(B gpu, const Sgd& o, std::span<const OptimizerSlot<G>> slots, const StepControl* control) {
  const size_t rung = sgd_step_rungs.pick("table");
  o.momentum != 0 ? step(gpu, rung, detail::SgdRule<true>(o), o.live, slots, control)
                  : step(gpu, rung, detail::SgdRule<false>(o), o.live, slots, control);
}

template <class B, class G>
void adamw_step(B gpu, const AdamW& o, std::span<const OptimizerSlot<G>> slots, const StepControl* control) {
  step(gpu, adamw_step_rungs.pick("table"), detail::AdamWRule(o), o.live, slots, control);
}

template <class B, class G>
void grad_norm(B gpu, const GradNorm& p, std::span<const OptimizerSlot<G>> slots, LossScale* loss_scale,
               StepControl* control) {
  constexpr decltype(&run_norm_naive<G>) rungs[] = {run_norm_naive<G>, run_norm_table<G>};
  rungs[grad_norm_rungs.pick("table")](gpu, p, slots, loss_scale, control);
}

#define INSTANTIATE(G)                                                                                \
  template void sgd_step(Gpu, const Sgd&, std::span<const OptimizerSlot<G>>, const StepControl*);     \
  template void adamw_step(Gpu, const AdamW&, std::span<const OptimizerSlot<G>>, const StepControl*); \
  template void grad_norm(Gpu, const GradNorm&, std::span<const OptimizerSlot<G>>, LossScale*, StepControl*);
INSTANTIATE(float)
INSTANTIATE(bf16)
INSTANTIATE(f16)
#undef INSTANTIATE

}  // namespace holt
