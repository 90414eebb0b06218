// CLIP's image tower (Radford et al. 2021, "Learning Transferable Visual Models From Natural Language Supervision"): a
// vision transformer whose features are compared with those of texts.
//
//   tokens     [1 + T, D]   as ViT's, but the patches' convolution has no bias
//   norm_pre   [1 + T, D]   a norm before the first block
//   block      × depth      ViT's, with quick GELU x·σ(1.702·x)
//   norm       [D]          of the class token
//   proj       [512]        f, no bias
//   φ = f/‖f‖
//   head       classes      zero-shot: the rows are s·e/‖e‖, e the class's text embedding, s the logit scale; no bias
//
//             D     depth   heads   parameters without the head (224×224)
//   B/16     768     12      12     86.2 M
//   B/32     768     12      12     87.8 M
//
// The head is an ordinary linear layer once it is made, so that it is trained, frozen or probed as any other.
//
// Names: ViT's (timm's, which calls the projection head), and OpenAI's for the same:
//
//   cls_token                [1, 1, D]        visual.class_embedding [D]
//   pos_embed                [1, 1 + T, D]    visual.positional_embedding [1 + T, D]
//   patch_embed.proj.weight  [D, P, P, 3]     visual.conv1.weight [D, 3, P, P]
//   norm_pre.*                                visual.ln_pre.*
//   blocks.N.norm1.*                          visual.transformer.resblocks.N.ln_1.*
//   blocks.N.attn.qkv.*                       visual.transformer.resblocks.N.attn.in_proj_{weight,bias}
//   blocks.N.attn.proj.*                      visual.transformer.resblocks.N.attn.out_proj.*
//   blocks.N.norm2.*                          visual.transformer.resblocks.N.ln_2.*
//   blocks.N.mlp.fc1.*, fc2.*                 visual.transformer.resblocks.N.mlp.c_fc.*, c_proj.*
//   norm.*                                    visual.ln_post.*
//   proj.weight              [512, D]         visual.proj [D, 512], transposed
//   head.*                                    none
#pragma once
#include "nn/models/vit.h"

namespace holt::nn {

class ClipViT : public Cloneable<ClipViT, ViT> {
 public:
  /// `options` without eps, patch_bias and activation, which are CLIP's; representation 0 means 512.
  ClipViT(ModelConfig, ViTOptions options, Generator&);
  /// [N, representation], each row of length 1, f32.
  Tensor features(const Tensor& images) override;
  Parts parts() override;

  LayerNorm norm_pre;
  Linear projection;  ///< proj
};

/// What a file of class embeddings holds.
struct ZeroShotHead {
  Tensor weight;                   ///< [C, D] f32: logit_scale·e/‖e‖
  double logit_scale = 100;        ///< the factor itself (where CLIP's files keep its logarithm)
  std::vector<std::string> names;  ///< of the classes, or empty
};

/// Reads safetensors with the text embeddings of the classes, f32, in the order of the data's classes:
///   tensor   "class_embeddings"   [C, D], not normalised or normalised
///   tensor   "logit_scale"        one element; or the metadata's "logit_scale"; 100 (CLIP's) without either
///   metadata "names"              JSON list of C names; optional
/// Errors name the file: a tensor that is missing, unexpected, misshapen, not f32 or not finite, an embedding of length
/// 0, a scale that is no positive number, another number of names than of classes.
ZeroShotHead read_zero_shot_head(const std::string& path);

/// The tower with the head that the option "head" of the configuration names, a file as above; a new head if it is
/// empty or missing. The head is weights like others then: in the model's own configuration the option is empty, so
/// that checkpoints are read without the file. Error if the file's classes or features are not the model's.
std::unique_ptr<ClipViT> make_clip_vit(ModelConfig, const ViTOptions&, Generator&);

}  // namespace holt::nn
