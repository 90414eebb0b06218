// Scaled dot-product attention (Vaswani et al. 2017, eq. 1) without a score matrix in memory (Dao et al. 2022, 2023).
// For every batch b and head h, with rows q[i], k[j], v[j] of D numbers:
//
//   s[i,j] = scale·⟨q[i], k[j]⟩      lse[i] = ln Σ_j e^s[i,j]      p[i,j] = e^(s[i,j] − lse[i])      o[i] = Σ_j
//   p[i,j]·v[j]
//
//   delta[i] = ⟨do[i], o[i]⟩         ds[i,j] = p[i,j]·(⟨do[i], v[j]⟩ − delta[i])
//   dq[i] = scale·Σ_j ds[i,j]·k[j]   dk[j] = scale·Σ_i ds[i,j]·q[i]   dv[j] = Σ_i p[i,j]·do[i]
//
// Row i of head h of batch b starts at x + (b·rows + i)·pitch + h·D. So q, k and v may lie packed as a linear layer
// writes them, [B, T, 3, H, D] (pitch 3·H·D; k = q + H·D, v = q + 2·H·D), and o as the next one reads it, [B, T, H, D]:
// a transformer block needs no transpose. Gradients lie as what they belong to.
//
// Scores live in one block at a time: keys are walked in blocks, and a row's maximum and sum so far are corrected as
// larger scores come (online softmax, Milakov & Gimelshein 2018). The backward computes the scores anew from lse.
//
// Bytes: forward (2·Tq + 2·Tk)·B·H·D·sizeof(T), backward (4·Tq + 4·Tk)·B·H·D·sizeof(T), and the vectors lse and delta.
// Flops: forward 4·B·H·Tq·Tk·D, backward 10·B·H·Tq·Tk·D. A forward makes Tk/sizeof(T)
// flops of a byte: with f32 bound by arithmetic from about a hundred keys on, on tensor cores from several hundred.
// Numerics: sums and softmax in acc_t<T>. Where the processor multiplies 16-bit numbers (tensor cores, AVX512_BF16), p
// and ds are rounded to T before they are multiplied: an error of eps(T)/2 in each term of a sum, none in its weight.
#pragma once
#include "kernels/device.h"
#include "kernels/rungs.h"

namespace holt {

struct Attention {
  int64_t batch, heads, queries, keys, head_size;  // head_size: a multiple of 8, at most 128; keys: at least 1
  double scale;
  int64_t q_pitch,
      kv_pitch;  // elements from a row to the next: of q and dq; of k, v, dk and dv. o, do: heads·head_size
};

inline constexpr int64_t kMaxHeadSize = 128;
inline constexpr Rungs<2> attention_forward_rungs{"attention_forward", {"naive", "flash"}};
inline constexpr Rungs<2> attention_backward_rungs{"attention_backward", {"naive", "flash"}};

/// o[B,Tq,H,D], lse[B,H,Tq]  ←  q[B,Tq,H,D], k, v[B,Tk,H,D].      T: float, bf16, f16, double (cpu).
template <class B, class T>
void attention_forward(B, const Attention&, const T* q, const T* k, const T* v, T* o, acc_t<T>* lse);

/// Each of dq, dk, dv is written if its pointer is not null.
template <class B, class T>
void attention_backward(B, const Attention&, const T* dout, const T* q, const T* k, const T* v, const T* o,
                        const acc_t<T>* lse, T* dq, T* dk, T* dv);

}  // namespace holt
