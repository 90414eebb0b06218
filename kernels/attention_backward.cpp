// Attention's backward on the CPU: scores anew from lse, five products (four flops of ten more than the forward's). A
// thread takes a head's keys, up to kKeyChunk of them, so that their gradients stay in its cache, and walks over all
// queries. dq is summed over chunks in order: results do not depend on the number of threads.
#include <cmath>

#include "kernels/attention.h"
#include "kernels/brief.h"
#include "kernels/memory.h"
#include "kernels/small_product.h"
#include "kernels/vector_math.h"

namespace holt {
namespace {

using namespace small;

constexpr int64_t kQueryBlock = 96, kKeyBlock = 128, kKeyChunk = 1024;

// The memory of one thread. Left and Right operands as small_product.h packs them.
template <class In>
struct Scratch {
  using A = sum_t<In>;
  int64_t width, depth, step;                   // of a row of a gradient; of a row of q in In; of a row of scores
  In *k_columns, *v_columns, *k_rows;           // of the chunk
  In *q_left, *dout_left, *q_rows, *dout_rows;  // of a block of queries
  A *dk, *dv, *dq, *delta;
  A *scores, *dscores;
  In *p_columns, *ds_columns, *ds_left;  // the scores' p and ds as Left operands

  explicit Scratch(const Attention& p)
      : width(round_up(p.head_size, kLanes<In>)),
        depth(elements<In>(p.head_size)),
        step(round_up(std::min(p.keys, kKeyBlock), kTileCols<In>)),
        keys_(round_up(std::min(p.keys, kKeyChunk), kTileCols<In>)) {}

  int64_t left_step() const { return std::is_same_v<In, Pair> ? depth : width; }

  // Points the members into `memory`, or at nothing if that is null. Returns how many bytes it takes.
  size_t place(char* memory) {
    Pieces pieces(memory);
    pieces.take(k_columns, keys_ * depth);
    pieces.take(v_columns, keys_ * depth);
    pieces.take(k_rows, elements<In>(keys_) * width);
    pieces.take(q_rows, elements<In>(kQueryBlock) * width);
    pieces.take(dout_rows, elements<In>(kQueryBlock) * width);
    pieces.take(dk, keys_ * width);
    pieces.take(dv, keys_ * width);
    pieces.take(dq, kQueryBlock * width);
    pieces.take(delta, kQueryBlock);
    pieces.take(scores, kQueryBlock * step);
    pieces.take(dscores, kQueryBlock * step);
    if constexpr (std::is_same_v<In, A>) {  // one packing serves both sides
      q_left = q_rows;
      dout_left = dout_rows;
      p_columns = scores;
      ds_columns = ds_left = dscores;
    } else {
      pieces.take(q_left, kQueryBlock * depth);
      pieces.take(dout_left, kQueryBlock * depth);
      pieces.take(p_columns, elements<In>(kQueryBlock) * step);
      pieces.take(ds_columns, elements<In>(kQueryBlock) * step);
      pieces.take(ds_left, kQueryBlock * elements<In>(step));
    }
    return pieces.used();
  }

 private:
  int64_t keys_;
};

template <class A>
void scores_to_gradients(int64_t n, A scale, A lse, A delta, A* s, A* ds) {
#pragma omp simd
  for (int64_t j = 0; j < n; ++j) {
    // The scores' rounding may leave a weight a little above 1.
    const A x = s[j] * scale - lse;
    s[j] = vmath::exp(x);
    ds[j] = s[j] * (ds[j] - delta);
  }
}

// A block's scores and do·vᵀ become p and ds, the next products' Left operands: where In is what they are over them;
// else two rows at a time, rounded to pairs.
template <class In>
void to_operands(int64_t rows, int64_t n, sum_t<In> scale, const sum_t<In>* lse, Scratch<In>& s) {
  using A = sum_t<In>;
  if constexpr (std::is_same_v<In, Pair>) {
    const int64_t left_step = elements<In>(s.step);
    for (int64_t r = 0; r < rows; r += 2) {
      A *const low = s.scores + r * s.step, *const high = low + s.step, *const dlow = s.dscores + r * s.step,
               *const dhigh = dlow + s.step;
      const bool last = r + 1 == rows;  // its neighbour is a row of zeros
      const A lse_low = lse[r], lse_high = last ? INFINITY : lse[r + 1], delta_low = s.delta[r],
              delta_high = last ? 0 : s.delta[r + 1];
      if (last) {
        std::fill(high, high + s.step, A(0));
        std::fill(dhigh, dhigh + s.step, A(0));
      }
      In* const left = s.ds_left + r * left_step;
      // The scores' rounding may leave a weight a little above 1.
      const auto weight = [&](lanes::Vec x) { return brief::exp_negative(lanes::at_most(x, 88)); };
      for (int64_t j = 0; j < n; j += kLanes<A>) {
        const lanes::Vec p_low = weight(load(low + j) * scale - lse_low);
        const lanes::Vec p_high = weight(load(high + j) * scale - lse_high);
        store_rows(s.p_columns + r / 2 * s.step + j, p_low, p_high, static_cast<In*>(nullptr), 0);
        store_rows(s.ds_columns + r / 2 * s.step + j, p_low * (load(dlow + j) - delta_low),
                   p_high * (load(dhigh + j) - delta_high), left + j / 2, left_step);
      }
      if (n % 2)  // nothing that multiplies keys beyond the last may be infinite
        for (In* end : {left + n / 2, left + left_step + n / 2}) *end = In(static_cast<uint32_t>(*end) & 0xffff);
    }
  } else {
    for (int64_t r = 0; r < rows; ++r)
      scores_to_gradients(n, scale, lse[r], s.delta[r], s.scores + r * s.step, s.dscores + r * s.step);
  }
}

// y[rows, n] ← x·scale, where x may be overwritten.
template <class A, class T>
void write_rows(int64_t rows, int64_t n, A scale, A* x, int64_t step, T* y, int64_t pitch) {
  for (int64_t r = 0; r < rows; ++r, x += step, y += pitch) {
    A* const out = room(y, x);
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) out[i] = x[i] * scale;
    narrow(n, out, y);
  }
}

// What the chunk of `keys` keys gives for all queries: dk and dv complete in the scratch memory; dq either to `dq` or,
// where there are more chunks, to dq_part[queries, width]. Pointers stand at the head's first row.
template <class In, class T>
void backward_chunk(const Attention& p, int64_t keys, const T* dout, const T* q, const T* k, const T* v, const T* o,
                    const acc_t<T>* lse, T* dq, acc_t<T>* dq_part, bool weights, Scratch<In>& s) {
  using A = sum_t<In>;
  const int64_t D = p.head_size, o_pitch = p.heads * D, panel = s.depth * kTileCols<In>;
  const A scale(p.scale);
  pack_columns<In>(keys, D, k, p.kv_pitch, s.k_columns);
  pack_columns<In>(keys, D, v, p.kv_pitch, s.v_columns);
  pack_rows<In>(keys, D, k, p.kv_pitch, 1, s.k_rows, s.width);
  std::fill(s.dk, s.dk + keys * s.width, A(0));
  std::fill(s.dv, s.dv + keys * s.width, A(0));
  for (int64_t first = 0; first < p.queries; first += kQueryBlock) {
    const int64_t rows = std::min(kQueryBlock, p.queries - first), depth = elements<In>(rows);
    const T *dout_block = dout + first * o_pitch, *q_block = q + first * p.q_pitch, *o_block = o + first * o_pitch;
    if constexpr (std::is_same_v<In, Pair>) {
      pack_left<In>(rows, D, q_block, p.q_pitch, 1, s.q_left, s.left_step());
      pack_left<In>(rows, D, dout_block, o_pitch, 1, s.dout_left, s.left_step());
    }
    pack_rows<In>(rows, D, q_block, p.q_pitch, 1, s.q_rows, s.width);
    pack_rows<In>(rows, D, dout_block, o_pitch, 1, s.dout_rows, s.width);
    for (int64_t r = 0; r < rows; ++r) {
      A sum = 0;
#pragma omp simd reduction(+ : sum)
      for (int64_t d = 0; d < D; ++d) sum += A(dout_block[r * o_pitch + d]) * A(o_block[r * o_pitch + d]);
      s.delta[r] = sum;
    }
    for (int64_t j = 0; j < keys; j += kKeyBlock) {
      const int64_t n = std::min(kKeyBlock, keys - j), at = j / kTileCols<In> * panel;
      product<In>(rows, n, s.depth, {s.q_left, s.left_step(), 1}, {s.k_columns + at, kTileCols<In>, panel}, s.scores,
                  s.step, false);
      product<In>(rows, n, s.depth, {s.dout_left, s.left_step(), 1}, {s.v_columns + at, kTileCols<In>, panel},
                  s.dscores, s.step, false);
      to_operands(rows, n, scale, lse + first, s);
      if (weights) {
        product<In>(n, D, depth, {s.p_columns, 1, s.step}, {s.dout_rows, s.width, kTileCols<In>}, s.dv + j * s.width,
                    s.width, true);
        product<In>(n, D, depth, {s.ds_columns, 1, s.step}, {s.q_rows, s.width, kTileCols<In>}, s.dk + j * s.width,
                    s.width, true);
      }
      if (dq || dq_part) {
        product<In>(rows, D, elements<In>(n), {s.ds_left, elements<In>(s.step), 1},
                    {s.k_rows + elements<In>(j) * s.width, s.width, kTileCols<In>}, s.dq, s.width, j > 0);
      }
    }
    if (dq_part)
      std::copy(s.dq, s.dq + rows * s.width, dq_part + first * s.width);
    else if (dq)
      write_rows(rows, D, scale, s.dq, s.width, dq + first * p.q_pitch, p.q_pitch);
  }
}

}  // namespace

template <class B, class T>
void attention_backward(B, const Attention& p, const T* dout, const T* q, const T* k, const T* v, const T* o,
                        const acc_t<T>* lse, T* dq, T* dk, T* dv) {
  using In = operand_t<T>;
  using A = acc_t<T>;
  const int64_t heads = p.batch * p.heads, chunks = (p.keys + kKeyChunk - 1) / kKeyChunk, D = p.head_size;
  if (heads == 0 || (!dq && !dk && !dv)) return;
  const int64_t cost = p.queries * std::min(p.keys, kKeyChunk) * D / 2 + p.keys * D, width = round_up(D, kLanes<In>);
  const int64_t threads = threads_for(heads * chunks * cost);
  // Where dq is a sum over chunks, as many heads at a time as keep the threads busy.
  const bool sums = dq && chunks > 1;
  const int64_t at_once = sums ? std::min(heads, (4 * threads + chunks - 1) / chunks) : heads;
  const size_t bytes = Scratch<In>(p).place(nullptr), part_size = p.queries * width;
  const int64_t parts = std::min(at_once * chunks, threads);
  const Workspace memory(Device::cpu, parts * bytes);
  const Workspace dq_parts(Device::cpu, sums ? at_once * chunks * part_size * sizeof(A) : 0);
  for (int64_t head0 = 0; head0 < heads; head0 += at_once) {
    const int64_t tasks = std::min(at_once, heads - head0) * chunks;
    parallel_for(parts, tasks * cost, [&](int64_t part, int64_t last) {
      Scratch<In> s(p);
      s.place(memory.as<char>() + part * bytes);
      for (int64_t task = tasks * part / parts; task < tasks * last / parts; ++task) {
        const int64_t head = head0 + task / chunks, first = task % chunks * kKeyChunk, b = head / p.heads;
        const int64_t at = head % p.heads * D, q_at = b * p.queries * p.q_pitch + at,
                      k_at = (b * p.keys + first) * p.kv_pitch + at, o_at = b * p.queries * p.heads * D + at;
        const int64_t keys = std::min(kKeyChunk, p.keys - first);
        backward_chunk<In>(p, keys, dout + o_at, q + q_at, k + k_at, v + k_at, o + o_at, lse + head * p.queries,
                           dq ? dq + q_at : nullptr, sums ? dq_parts.as<A>() + task * part_size : nullptr, dk || dv, s);
        if (dk) write_rows(keys, D, A(p.scale), s.dk, s.width, dk + k_at, p.kv_pitch);
        if (dv) write_rows(keys, D, A(1), s.dv, s.width, dv + k_at, p.kv_pitch);
      }
    });
    if (!sums) continue;
    parallel_for(tasks / chunks * p.queries, chunks * D, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t task = i / p.queries * chunks, row = i % p.queries, head = head0 + i / p.queries;
        A* const sum = dq_parts.as<A>() + task * part_size + row * width;
        for (int64_t c = 1; c < chunks; ++c)
#pragma omp simd
          for (int64_t d = 0; d < D; ++d) sum[d] += sum[c * part_size + d];
        write_rows(1, D, A(p.scale), sum, width,
                   dq + (head / p.heads * p.queries + row) * p.q_pitch + head % p.heads * D, p.q_pitch);
      }
    });
  }
}

#define INSTANTIATE(T)                                                                                      \
  template void attention_backward(Cpu, const Attention&, const T*, const T*, const T*, const T*, const T*, \
                                   const acc_t<T>*, T*, T*, T*);
INSTANTIATE(float)
INSTANTIATE(bf16)
INSTANTIATE(f16)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace holt
