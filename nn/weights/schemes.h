// What others call the weights of the models that holt has, one table for each naming scheme.
//
//   scheme        family   a name in it
//   torchvision   resnet   layer1.0.conv1.weight                     timm's are the same, and holt's
//                 vit      encoder.layers.encoder_layer_0.self_attention.in_proj_weight
//   timm          vit      blocks.0.attn.qkv.weight                  holt's are the same
//                 clip     the same, and norm_pre.weight; the projection is called head
//   hf            resnet   resnet.encoder.stages.0.layers.0.layer.0.convolution.weight
//                 vit      vit.encoder.layer.0.attention.attention.query.weight
//                 clip     vision_model.encoder.layers.0.self_attn.q_proj.weight
//   openai        clip     visual.transformer.resblocks.0.attn.in_proj_weight
//
// A rule is a pair of patterns, holt's name and theirs, read in both directions:
//
//   #   a number, the same in both
//   %   a number that holt counts from 1 and they from 0
//   *   text without a dot, the same in both; ** any text
//   {query|key|value}   in theirs: that many tensors, of which holt's is the concatenation along the first axis
//
// Besides names, one thing differs: convolution weights (every tensor of four axes) are [Cout, KH, KW, Cin] in holt and
// [Cout, Cin, KH, KW] elsewhere.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/shape.h"
#include "nn/module.h"

namespace holt::nn {

/// How a tensor of theirs is laid out, besides the order of a convolution's axes.
enum class Form {
  same,
  flat,        ///< without the leading axes of size 1 that ours of three axes has
  transposed,  ///< of two axes
  zeros,       ///< a bias that ours has not: theirs has it, and it is zero
};

struct NameRule {
  std::string_view ours, theirs;
  Form form = Form::same;
};

struct Scheme {
  std::string_view name;                  ///< "torchvision", "timm", "hf", "openai"
  std::string_view family;                ///< "resnet", "vit", "clip"
  std::vector<std::string_view> anchors;  ///< names that tell the scheme, without `body`; a file has one of them
  std::string_view body;            ///< begins the names of all but the classifier; missing in files of a bare backbone
  std::span<const NameRule> rules;  ///< of several for one name of holt's the first is written, each is read
  std::vector<std::string_view> unused;     ///< patterns of theirs that holt's models have no use for
  std::vector<std::string_view> ours_only;  ///< patterns of holt's names that they have nothing for: not written
};

/// In the order in which they are tried.
const std::vector<Scheme>& schemes();
/// Null if the family has none of that name.
const Scheme* find_scheme(std::string_view family, std::string_view name);

/// Whether files of the scheme have a classifier: CLIP's have none.
bool has_classifier(const Scheme& scheme);

/// A tensor of theirs, or its place in one of holt's: piece i of n along the first axis.
struct TheirName {
  std::string name;
  int64_t piece = 0, pieces = 1;
  Form form = Form::same;
};
/// What holt's `name` is called, in order; empty if no rule knows it.
std::vector<TheirName> their_names(const Scheme& scheme, const std::string& name);
/// The other way: holt's name for `theirs`, and which piece of it that is; an empty name if no rule knows it.
TheirName our_name(const Scheme& scheme, const std::string& theirs);
/// Whether the scheme says that holt's models have no use for it (and every BatchNorm's num_batches_tracked).
bool is_unused(const Scheme& scheme, const std::string& theirs);

/// [Cout, KH, KW, Cin] → [Cout, Cin, KH, KW] for four axes, others as they are. And back.
Shape their_shape(const Shape& ours);
Tensor to_their_layout(const Tensor& ours);
Tensor to_our_layout(const Tensor& theirs);

/// A state under the scheme's names and in its layout, with a num_batches_tracked (0) beside every running_var, as
/// PyTorch's modules have it, and the zeros that the rules name. Error if a name has no rule.
State to_theirs(const Scheme& scheme, const State& ours);

}  // namespace holt::nn
