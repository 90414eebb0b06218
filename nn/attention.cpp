#include "nn/attention.h"

namespace holt::nn {
namespace {

int64_t checked(int64_t features, int64_t heads) {
  check(heads > 0 && features > 0 && features % heads == 0,
        "MultiHeadAttention: features must be a multiple of heads, got {} features and {} heads", features, heads);
  const int64_t size = features / heads;
  check(size % 8 == 0 && size <= 128,
        "MultiHeadAttention: {} features in {} heads make heads of {}; they must be a multiple of 8, at most 128",
        features, heads, size);
  return features;
}

}  // namespace

MultiHeadAttention::MultiHeadAttention(int64_t features, int64_t h, Generator& g, AttentionOptions o)
    : qkv(checked(features, h), 3 * features, g, {o.bias, o.draw}),
      proj(features, features, g, {o.bias, o.draw}),
      heads(h) {}

Tensor MultiHeadAttention::forward(const Tensor& x) {
  check(x.rank() == 3 && x.size(2) == features(), "MultiHeadAttention: x must be [B, T, {}], got {}", features(), x);
  const int64_t B = x.size(0), T = x.size(1);
  return proj(attention(qkv(x).reshape({B, T, 3, heads, features() / heads})).reshape({B, T, features()}));
}

std::string MultiHeadAttention::label() const {
  return format("MultiHeadAttention({}, {} heads{})", proj.weight.size(0), heads, proj.bias ? "" : ", no bias");
}

}  // namespace holt::nn
