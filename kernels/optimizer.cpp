#include "kernels/optimizer.h"

#include <algorithm>
#include <vector>

#include "kernels/memory.h"
#include "kernels/optimizer_rule.h"
#include "kernels/parallel.h"

namespace holt {
namespace {

// f(slot, begin, end, chunk) for every chunk of every slot, chunks numbered through; one parallel loop over all.
template <class G, class F>
void for_each_chunk(std::span<const OptimizerSlot<G>> slots, int64_t cost, const F& f) {
  std::vector<int64_t> first(slots.size() + 1, 0);  // each slot's first chunk
  for (size_t i = 0; i < slots.size(); ++i) first[i + 1] = first[i] + detail::chunks_of(slots[i].size);
  parallel_for(first.back(), cost, [&](int64_t begin, int64_t end) {
    size_t i = static_cast<size_t>(std::upper_bound(first.begin(), first.end(), begin) - first.begin()) - 1;
    for (int64_t chunk = begin; chunk < end; ++chunk) {
      while (chunk >= first[i + 1]) ++i;
      const int64_t from = (chunk - first[i]) * kOptimizerChunk;
      f(slots[i], from, std::min(slots[i].size, from + kOptimizerChunk), chunk);
    }
  });
}

template <class Rule, class G>
void step(const Rule& given, const StepNumbers* live, std::span<const OptimizerSlot<G>> slots,
          const StepControl* control) {
  Rule rule = detail::live_rule(live, given);
  const StepControl now = control ? *control : StepControl{};
  if (now.skip != 0) return;
  rule.adjust(now);
  const float s = now.scale;
  for_each_chunk(slots, kOptimizerChunk, [&](const OptimizerSlot<G>& slot, int64_t begin, int64_t end, int64_t) {
    float* const __restrict p = slot.param;
    const G* const __restrict g = slot.grad;
    float* const __restrict a = slot.state[0];
    float* const __restrict b = slot.state[1];
    float none = 0;
    const Rule r = rule;
#pragma omp simd
    for (int64_t i = begin; i < end; ++i)
      if constexpr (Rule::states == 0)
        r(p[i], static_cast<float>(g[i]) * s, none, none);
      else if constexpr (Rule::states == 1)
        r(p[i], static_cast<float>(g[i]) * s, a[i], none);
      else
        r(p[i], static_cast<float>(g[i]) * s, a[i], b[i]);
  });
}

}  // namespace

StepNumbers numbers_of(const Sgd& o) {
  const detail::SgdRule<true> rule(o);  // without momentum it has the same layout
  StepNumbers n{};
  std::memcpy(&n, &rule, sizeof rule);
  return n;
}
StepNumbers numbers_of(const AdamW& o) {
  const detail::AdamWRule rule(o);
  StepNumbers n{};
  std::memcpy(&n, &rule, sizeof rule);
  return n;
}

template <class B, class G>
void sgd_step(B, const Sgd& o, std::span<const OptimizerSlot<G>> slots, const StepControl* control) {
  o.momentum != 0 ? step(detail::SgdRule<true>(o), o.live, slots, control)
                  : step(detail::SgdRule<false>(o), o.live, slots, control);
}

template <class B, class G>
void adamw_step(B, const AdamW& o, std::span<const OptimizerSlot<G>> slots, const StepControl* control) {
  step(detail::AdamWRule(o), o.live, slots, control);
}

template <class B, class G>
void grad_norm(B, const GradNorm& p, std::span<const OptimizerSlot<G>> slots, LossScale* loss_scale,
               StepControl* control) {
  int64_t chunks = 0;
  for (const auto& slot : slots) chunks += detail::chunks_of(slot.size);
  const Workspace partial(Device::cpu, static_cast<size_t>(chunks) * sizeof(float));
  for_each_chunk(slots, kOptimizerChunk / 2, [&](const OptimizerSlot<G>& slot, int64_t begin, int64_t end, int64_t k) {
    const G* const g = slot.grad;
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = begin; i < end; ++i) sum += static_cast<float>(g[i]) * static_cast<float>(g[i]);
    partial.as<float>()[k] = sum;
  });
  double squares = 0;
  for (int64_t k = 0; k < chunks; ++k) squares += static_cast<double>(partial.as<float>()[k]);
  detail::finish_norm(squares, p, loss_scale, control);
}

#define INSTANTIATE(G)                                                                                \
  template void sgd_step(Cpu, const Sgd&, std::span<const OptimizerSlot<G>>, const StepControl*);     \
  template void adamw_step(Cpu, const AdamW&, std::span<const OptimizerSlot<G>>, const StepControl*); \
  template void grad_norm(Cpu, const GradNorm&, std::span<const OptimizerSlot<G>>, LossScale*, StepControl*);
INSTANTIATE(float)
INSTANTIATE(bf16)
INSTANTIATE(f16)
#undef INSTANTIATE

}  // namespace holt
