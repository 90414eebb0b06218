// Multi-head self-attention (Vaswani et al. 2017, §3.2.2), as a vision transformer has it.
#pragma once
#include "nn/layers.h"

namespace holt::nn {

struct AttentionOptions {
  bool bias = true;  ///< of both products
  bool draw = true;  ///< as in nn/layers.h
};

/// x [B, T, features] → the same. One product makes queries, keys and values of all heads, [B, T, 3, heads, D] with D =
/// features / heads; attention reads them and writes [B, T, heads, D] as they lie: nothing is permuted. Names and order
/// of the weights are timm's (qkv, proj).
class MultiHeadAttention : public Cloneable<MultiHeadAttention> {
 public:
  /// D must be a multiple of 8, at most 128.
  MultiHeadAttention(int64_t features, int64_t heads, Generator&, AttentionOptions = {});
  Tensor forward(const Tensor& x) override;
  Parts parts() override { return {.children = {{"qkv", &qkv}, {"proj", &proj}}}; }
  std::string label() const override;
  int64_t features() const { return proj.out_features(); }

  Linear qkv, proj;
  int64_t heads;
};

}  // namespace holt::nn
