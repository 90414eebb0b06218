#include "nn/models/vit.h"

#include <cmath>

#include "nn/init.h"
#include "nn/models/drop_path.h"

namespace holt::nn {
namespace {

// timm: weights from a normal distribution with std 0.02, cut at ±2 (not at two standard deviations); biases 0.
void draw(Linear& layer, Generator& g) {
  layer.weight = init::parameter(init::truncated_normal(layer.weight.shape(), g, 0, 0.02));
  if (layer.bias) layer.bias = init::parameter(init::constant(layer.bias.shape(), 0));
}

// The weights with which a row of `from` places gives each of `to`: Keys' cubic (a = −½), stretched by from/to where
// the row shrinks, normalised at the edges. Pillow's and torch's antialiased bicubic.
std::vector<double> cubic_weights(int64_t from, int64_t to) {
  const auto cubic = [](double x) {
    x = std::fabs(x);
    if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
    return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0.0;
  };
  const double scale = static_cast<double>(from) / static_cast<double>(to), stretch = std::max(scale, 1.0);
  std::vector<double> weights(static_cast<size_t>(from * to));
  for (int64_t i = 0; i < to; ++i) {
    double* const row = weights.data() + i * from;
    const double centre = scale * (static_cast<double>(i) + 0.5);
    double total = 0;
    for (int64_t k = 0; k < from; ++k) total += row[k] = cubic((static_cast<double>(k) + 0.5 - centre) / stretch);
    for (int64_t k = 0; k < from; ++k) row[k] /= total;
  }
  return weights;
}

}  // namespace

ViTMlp::ViTMlp(int64_t features, int64_t hidden, Activation a, Generator& g)
    : fc1(features, hidden, g, {.draw = false}), fc2(hidden, features, g, {.draw = false}), activation(a) {
  draw(fc1, g);
  draw(fc2, g);
}

ViTBlock::ViTBlock(const ViTOptions& o, double drop_path, Generator& g)
    : norm1(o.features, o.eps),
      attn(o.features, o.heads, g, {.draw = false}),
      norm2(o.features, o.eps),
      mlp(o.features, 4 * o.features, o.activation, g) {
  draw(attn.qkv, g);
  draw(attn.proj, g);
  if (drop_path > 0) {
    drop_path1 = DropPath(drop_path, g);
    drop_path2 = DropPath(drop_path, g);
  }
}

Tensor ViTBlock::branch(Tensor& x, const Tensor& normed) {
  const Tensor a = drop_path1(attn(normed));
  const auto [n, sum] = add_layer_norm(a, x, norm2.weight, norm2.bias, norm2.eps);
  x = sum;
  return drop_path2(mlp(n));
}

Tensor ViTBlock::forward(const Tensor& x) {
  Tensor sum = x;
  const Tensor m = branch(sum, norm1(x));
  return sum + m;
}

Parts ViTBlock::parts() {
  Parts p{.children = {{"norm1", &norm1}, {"attn", &attn}, {"norm2", &norm2}, {"mlp", &mlp}}};
  if (drop_path1.p > 0) {
    p.children.emplace_back("drop_path1", &drop_path1);
    p.children.emplace_back("drop_path2", &drop_path2);
  }
  return p;
}

ViT::ViT(ModelConfig c, ViTOptions o, Generator& g)
    : Cloneable(c),
      patch(o.patch),
      proj(c.channels, o.features, static_cast<int>(o.patch), g,
           {.stride = static_cast<int>(o.patch), .bias = o.patch_bias}),
      norm(o.features, o.eps),
      dropout(o.dropout, g),
      head(o.representation ? o.representation : o.features, c.classes, g, {.draw = false}) {
  check(c.height % patch == 0 && c.width % patch == 0,
        "{}: images must be multiples of {} pixels high and wide, got {}×{}", c.name, patch, c.height, c.width);
  cls_token = init::parameter(normal({1, 1, o.features}, 0, 1e-6, g));
  pos_embed = init::parameter(init::truncated_normal({1, 1 + grid_height() * grid_width(), o.features}, g, 0, 0.02));
  for (int64_t i = 0; i < o.depth; ++i) blocks.emplace_back(o, drop_path_of(i, o.depth, o.drop_path), g);
  draw(head, g);
}

Linear ViT::drawn_classifier(int64_t features, int64_t classes, Generator& g) const {
  Linear head(features, classes, g, {.draw = false});
  draw(head, g);
  return head;
}

Tensor ViT::features(const Tensor& images) { return dropout(class_token(tokens(images))); }

Tensor ViT::tokens(const Tensor& images) {
  check_images(images);
  const int64_t n = images.size(0), d = cls_token.size(2);
  const Tensor patches = proj(images).reshape({n, grid_height() * grid_width(), d});
  const Tensor first = cls_token + zeros({n, 1, d}, cls_token.dtype(), images.device());  // one for each image
  return concat({first.to(patches.dtype()), patches}, 1) + pos_embed.to(patches.dtype());
}

Tensor ViT::class_token(Tensor x) {
  Tensor normed = blocks.front().norm1(x), m;
  for (size_t i = 0; i < blocks.size(); ++i) {
    m = blocks[i].branch(x, normed);
    if (i + 1 == blocks.size()) break;
    const LayerNorm& next = blocks[i + 1].norm1;
    std::tie(normed, x) = add_layer_norm(m, x, next.weight, next.bias, next.eps);
  }
  const auto first = [](const Tensor& t) { return slice(t, 1, 0, 1); };
  const Tensor f = add_layer_norm(first(m), first(x), norm.weight, norm.bias, norm.eps).first;
  return f.reshape({f.size(0), f.size(2)});
}

Parts ViT::parts() {
  Parts p{.parameters = {{"cls_token", &cls_token}, {"pos_embed", &pos_embed}},
          .children = {{"patch_embed.proj", &proj}}};
  for (size_t i = 0; i < blocks.size(); ++i) p.children.emplace_back(format("blocks.{}", i), &blocks[i]);
  p.children.emplace_back("norm", &norm);
  p.children.emplace_back("dropout", &dropout);
  p.children.emplace_back("head", &head);
  return p;
}

Tensor interpolate_positions(const Tensor& pos_embed, int64_t h, int64_t w, int64_t to_h, int64_t to_w) {
  check(pos_embed.rank() == 3 && pos_embed.size(0) == 1 && h > 0 && w > 0 && pos_embed.size(1) == 1 + h * w,
        "interpolate_positions: the embedding of {}×{} patches must be [1, {}, D], got {}", h, w, 1 + h * w, pos_embed);
  check(to_h > 0 && to_w > 0, "interpolate_positions: the new grid must not be empty, got {}×{}", to_h, to_w);
  const int64_t d = pos_embed.size(2);
  const std::vector<float> from_values = pos_embed.to_vector<float>();
  const std::vector<double> rows = cubic_weights(h, to_h), columns = cubic_weights(w, to_w);
  std::vector<float> to(static_cast<size_t>((1 + to_h * to_w) * d));
  std::copy_n(from_values.begin(), d, to.begin());
  std::vector<double> sum(static_cast<size_t>(d));
  for (int64_t i = 0; i < to_h; ++i)
    for (int64_t j = 0; j < to_w; ++j) {
      std::fill(sum.begin(), sum.end(), 0.0);
      for (int64_t a = 0; a < h; ++a)
        for (int64_t b = 0; b < w; ++b) {
          const double weight = rows[static_cast<size_t>(i * h + a)] * columns[static_cast<size_t>(j * w + b)];
          if (weight == 0) continue;
          const float* const x = from_values.data() + (1 + a * w + b) * d;
          for (int64_t k = 0; k < d; ++k) sum[static_cast<size_t>(k)] += weight * static_cast<double>(x[k]);
        }
      std::transform(sum.begin(), sum.end(), to.begin() + (1 + i * to_w + j) * d,
                     [](double v) { return static_cast<float>(v); });
    }
  return from(to, {1, 1 + to_h * to_w, d});
}

}  // namespace holt::nn
