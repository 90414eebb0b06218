// Vision transformer (Dosovitskiy et al. 2021, "An Image is Worth 16x16 Words"), with timm's names and initialisation.
//
//   patches   [H/P · W/P, D]   P×P convolution with stride P
//   tokens    [1 + T, D]       class token first; plus the learned position embedding
//   block     × depth          x ← x + attention(norm(x))        x ← x + fc2(gelu(fc1(norm(x))))     4·D hidden
//   norm      [D]              of the class token = φ
//   head      classes
//
//          D     depth   heads   parameters (1000 classes, 224×224)
//   Ti/16  192   12      3        5.7 M
//   S/16   384   12      6       22.1 M
//   B/16   768   12      12      86.6 M
//   B/32   768   12      12      88.2 M
//   L/16   1024  24      16     304.3 M
//
// Each sum of the residual stream is made in the pass of the norm that follows it (add_layer_norm), and the last
// block's sum and norm only for the class token.
#pragma once
#include "nn/attention.h"
#include "nn/model.h"

namespace holt::nn {

/// fc2(activation(fc1(x))).
class ViTMlp : public Cloneable<ViTMlp> {
 public:
  ViTMlp(int64_t features, int64_t hidden, Activation, Generator&);
  Tensor forward(const Tensor& x) override { return fc2(fc1(x, activation)); }
  Parts parts() override { return {.children = {{"fc1", &fc1}, {"fc2", &fc2}}}; }
  std::string label() const override { return "ViTMlp"; }

  Linear fc1, fc2;
  Activation activation;
};

struct ViTOptions {
  int64_t patch = 16, features = 768, depth = 12, heads = 12;
  double drop_path = 0;  ///< of the last block; block i of n has i/(n − 1) of it (Huang et al. 2016, the linear rule)
  double dropout = 0;    ///< before the classifier
  double eps = 1e-6;     ///< of the norms: timm's; torch.nn.LayerNorm has 1e-5
  bool patch_bias = true;      ///< whether the patches' convolution has a bias
  int64_t representation = 0;  ///< features that the classifier sees, if not those of the blocks (0)
  Activation activation = Activation::gelu;
};

class ViTBlock : public Cloneable<ViTBlock> {
 public:
  ViTBlock(const ViTOptions&, double drop_path, Generator&);
  /// x [B, T, D] → the same.
  Tensor forward(const Tensor& x) override;
  /// The block with its first norm already taken and its last sum not yet made: `normed` is norm1(x); x becomes x +
  /// attention, and what is still to be added to it is returned.
  Tensor branch(Tensor& x, const Tensor& normed);
  Parts parts() override;
  std::string label() const override { return "ViTBlock"; }

  LayerNorm norm1;
  MultiHeadAttention attn;
  LayerNorm norm2;
  ViTMlp mlp;
  DropPath drop_path1, drop_path2;
};

class ViT : public Cloneable<ViT, Model> {
 public:
  ViT(ModelConfig, ViTOptions, Generator&);
  Tensor features(const Tensor& x) override;
  Linear& classifier() override { return head; }
  Parts parts() override;
  /// Patches along the image's height and width.
  int64_t grid_height() const { return config().height / patch; }
  int64_t grid_width() const { return config().width / patch; }

  int64_t patch;
  Conv2d proj;                  ///< patch_embed.proj
  Tensor cls_token, pos_embed;  ///< [1, 1, D], [1, 1 + T, D]
  std::vector<ViTBlock> blocks;
  LayerNorm norm;
  Dropout dropout;
  Linear head;

 protected:
  /// Images [N, H, W, channels] → [N, 1 + T, D], positions added.
  Tensor tokens(const Tensor& images);
  /// norm(class token) after all blocks: [N, 1 + T, D] → [N, D].
  Tensor class_token(Tensor x);
  Linear drawn_classifier(int64_t features, int64_t classes, Generator&) const override;
};

/// The position embedding [1, 1 + h·w, D] of one grid of patches for another, [1, 1 + to_h·to_w, D]: the class token's
/// row stays, the others are resampled by bicubic interpolation with antialiasing, as timm's resample_abs_pos_embed
/// does.
Tensor interpolate_positions(const Tensor& pos_embed, int64_t h, int64_t w, int64_t to_h, int64_t to_w);

}  // namespace holt::nn
