// Attention's forward on the CPU. A thread takes a head, or a share of its queries where there are fewer heads than
// threads; it packs the head's keys and values as small_product.h wants them, and walks over blocks of queries, each
// over blocks of keys. What a block of queries touches again and again, a panel of keys or values and its scores, stays
// in the first two cache levels.
//
// In bf16, where the processor multiplies it in pairs, the products take half of float's time, and two thirds of all:
// so the exponentials between them work in whole vectors, with no more arithmetic than their use needs, and p is
// rounded where it is made. Maxima and sums stay in float and are those of p before it is rounded. (oneDNN's products
// are made for larger matrices: a call costs about 2 µs, as much as half of a block.)
#include "kernels/attention.h"

#include <cmath>

#include "kernels/brief.h"
#include "kernels/memory.h"
#include "kernels/small_product.h"
#include "kernels/vector_math.h"

namespace holt {
namespace {

using namespace small;

constexpr int64_t kQueryBlock = 48, kKeyBlock = 256;
constexpr int64_t kDepth = 64;  // steps along the keys in one product: their panel of 16 KiB stays in the nearest cache

// The memory of one thread.
template <class In>
struct Scratch {
  using A = sum_t<In>;
  int64_t width, depth, key_step;  // of a row of v and o; of a row of q and k, in In; of a row of scores

  explicit Scratch(const Attention& p)
      : width(round_up(p.head_size, kLanes<In>)),
        depth(elements<In>(p.head_size)),
        key_step(round_up(std::min(p.keys, kKeyBlock), kTileCols<In>)),
        keys_(round_up(p.keys, kTileCols<In>)) {}

  In *q, *k, *v;
  A *scores, *o, *max, *sum;
  In* weights;  // the scores' exponentials: over them where In is what they are

  // Points the members into `memory`, or at nothing if that is null. Returns how many bytes it takes.
  size_t place(char* memory) {
    Pieces pieces(memory);
    pieces.take(q, kQueryBlock * depth);
    pieces.take(k, keys_ * depth);
    pieces.take(v, elements<In>(keys_) * width);
    pieces.take(scores, kQueryBlock * key_step);
    pieces.take(o, kQueryBlock * width);
    pieces.take(max, kQueryBlock);
    pieces.take(sum, kQueryBlock);
    if constexpr (std::is_same_v<In, A>)
      weights = scores;
    else
      pieces.take(weights, kQueryBlock * key_step / Traits<In>::per_element);
    return pieces.used();
  }

 private:
  int64_t keys_;
};

// One row of scores: keeps its maximum and the sum of its exponentials, which become `weights`, over the scores where
// In is what these are. Returns what the earlier blocks' sums must be multiplied by.
template <class In>
sum_t<In> softmax_row(int64_t n, sum_t<In> scale, sum_t<In>* s, In* weights, sum_t<In>& max, sum_t<In>& sum) {
  using A = sum_t<In>;
  A m = max, total = 0;
  if constexpr (std::is_same_v<In, Pair>) {  // in whole vectors: a few numbers behind them take as long as two
    constexpr int64_t L = kLanes<A>;
    const A scale_log2 = scale * A(M_LOG2E);
    std::fill(s + n, s + round_up(n, L), -INFINITY);
    lanes::Vec tops = load(s), totals{};
    for (int64_t j = L; j < n; j += L) tops = lanes::larger(tops, load(s + j));
    m = std::max(m, lanes::fold(tops, [](auto x, auto y) { return x > y ? x : y; }));
    const A shift = m * scale_log2;
    for (int64_t j = 0; j < n; j += L) {
      const lanes::Vec e = brief::pow2_negative(load(s + j) * scale_log2 - shift);
      totals += e;
      store_left(weights + j / 2, e);
    }
    total = lanes::sum(totals);
  } else {
#pragma omp simd reduction(max : m)
    for (int64_t j = 0; j < n; ++j) m = s[j] > m ? s[j] : m;
    const A shift = m * scale;
#pragma omp simd reduction(+ : total)
    for (int64_t j = 0; j < n; ++j) {
      s[j] = vmath::exp_negative(s[j] * scale - shift);
      total += s[j];
    }
  }
  const A correction = vmath::exp_negative((max - m) * scale);
  max = m;
  sum = sum * correction + total;
  return correction;
}

template <class In, class T>
void pack_head(const Attention& p, const T* k, const T* v, Scratch<In>& s) {
  pack_columns<In>(p.keys, p.head_size, k, p.kv_pitch, s.k);
  pack_rows<In>(p.keys, p.head_size, v, p.kv_pitch, 1, s.v, s.width);
}

// Rows [0, rows) of one head; q and o stand at the first.
template <class In, class T>
void forward_block(const Attention& p, int64_t rows, const T* q, T* o, acc_t<T>* lse, Scratch<In>& s) {
  using A = sum_t<In>;
  const int64_t D = p.head_size, step = s.key_step, weights_step = step / Traits<In>::per_element;
  pack_left<In>(rows, D, q, p.q_pitch, 1, s.q, s.depth);
  std::fill(s.max, s.max + rows, -INFINITY);
  std::fill(s.sum, s.sum + rows, A(0));
  for (int64_t first = 0; first < p.keys; first += kKeyBlock) {
    const int64_t keys = std::min(kKeyBlock, p.keys - first);
    product<In>(rows, keys, s.depth, {s.q, s.depth, 1}, {s.k + first * s.depth, kTileCols<In>, s.depth * kTileCols<In>},
                s.scores, step, false);
    for (int64_t r = 0; r < rows; ++r) {
      const A correction =
          softmax_row<In>(keys, A(p.scale), s.scores + r * step, s.weights + r * weights_step, s.max[r], s.sum[r]);
      if (first > 0)
        for (int64_t d = 0; d < s.width; ++d) s.o[r * s.width + d] *= correction;
    }
    const int64_t all = elements<In>(keys);
    const In* const v = s.v + elements<In>(first) * s.width;
    for (int64_t j = 0; j < all; j += kDepth)
      product<In>(rows, D, std::min(kDepth, all - j), {s.weights + j, weights_step, 1},
                  {v + j * s.width, s.width, kTileCols<In>}, s.o, s.width, first + j > 0);
  }
  for (int64_t r = 0; r < rows; ++r, o += p.heads * D) {
    A* const row = s.o + r * s.width;
    const A share = 1 / s.sum[r];
    A* const out = room(o, row);
#pragma omp simd
    for (int64_t d = 0; d < D; ++d) out[d] = row[d] * share;
    narrow(D, out, o);
    lse[r] = s.max[r] * A(p.scale) + std::log(s.sum[r]);
  }
}

}  // namespace

template <class B, class T>
void attention_forward(B, const Attention& p, const T* q, const T* k, const T* v, T* o, acc_t<T>* lse) {
  using In = operand_t<T>;
  const int64_t heads = p.batch * p.heads, blocks = (p.queries + kQueryBlock - 1) / kQueryBlock;
  const int64_t cost = p.queries * p.keys * p.head_size / 4, threads = threads_for(heads * cost);
  if (heads == 0 || blocks == 0) return;
  // A row's bits do not depend on the block that it falls into, so the shares may depend on the number of threads.
  const int64_t shares = heads >= 4 * threads ? 1 : std::min(blocks, (4 * threads + heads - 1) / heads);
  const int64_t tasks = heads * shares, parts = std::min(tasks, threads);
  const size_t bytes = Scratch<In>(p).place(nullptr);
  const Workspace memory(Device::cpu, parts * bytes);
  parallel_for(parts, heads * cost, [&](int64_t part, int64_t last) {
    Scratch<In> s(p);
    s.place(memory.as<char>() + part * bytes);
    int64_t packed = -1;
    for (int64_t task = tasks * part / parts; task < tasks * last / parts; ++task) {
      const int64_t head = task / shares, share = task % shares, b = head / p.heads, h = head % p.heads;
      const int64_t at = h * p.head_size;
      if (packed != head) pack_head<In>(p, k + b * p.keys * p.kv_pitch + at, v + b * p.keys * p.kv_pitch + at, s);
      packed = head;
      for (int64_t i = blocks * share / shares; i < blocks * (share + 1) / shares; ++i) {
        const int64_t row = i * kQueryBlock, in_batch = b * p.queries + row;
        forward_block<In>(p, std::min(kQueryBlock, p.queries - row), q + in_batch * p.q_pitch + at,
                          o + in_batch * p.heads * p.head_size + at, lse + head * p.queries + row, s);
      }
    }
  });
}

#define INSTANTIATE(T) \
  template void attention_forward(Cpu, const Attention&, const T*, const T*, const T*, T*, acc_t<T>*);
INSTANTIATE(float)
INSTANTIATE(bf16)
INSTANTIATE(f16)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace holt
