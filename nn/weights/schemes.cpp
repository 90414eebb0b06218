#include "nn/weights/schemes.h"

#include <algorithm>
#include <optional>

#include "core/autograd.h"
#include "core/ops.h"

namespace holt::nn {
namespace {

constexpr NameRule kSame[] = {{"**", "**"}};

constexpr NameRule kHfResNet[] = {
    {"conv1.weight", "resnet.embedder.embedder.convolution.weight"},
    {"bn1.*", "resnet.embedder.embedder.normalization.*"},
    {"layer%.#.conv%.weight", "resnet.encoder.stages.%.layers.#.layer.%.convolution.weight"},
    {"layer%.#.bn%.*", "resnet.encoder.stages.%.layers.#.layer.%.normalization.*"},
    {"layer%.#.downsample.0.weight", "resnet.encoder.stages.%.layers.#.shortcut.convolution.weight"},
    {"layer%.#.downsample.1.*", "resnet.encoder.stages.%.layers.#.shortcut.normalization.*"},
    {"fc.*", "classifier.1.*"},
};

constexpr NameRule kTorchvisionViT[] = {
    {"patch_embed.proj.*", "conv_proj.*"},
    {"cls_token", "class_token"},
    {"pos_embed", "encoder.pos_embedding"},
    {"blocks.#.norm1.*", "encoder.layers.encoder_layer_#.ln_1.*"},
    {"blocks.#.attn.qkv.weight", "encoder.layers.encoder_layer_#.self_attention.in_proj_weight"},
    {"blocks.#.attn.qkv.bias", "encoder.layers.encoder_layer_#.self_attention.in_proj_bias"},
    {"blocks.#.attn.proj.*", "encoder.layers.encoder_layer_#.self_attention.out_proj.*"},
    {"blocks.#.norm2.*", "encoder.layers.encoder_layer_#.ln_2.*"},
    {"blocks.#.mlp.fc1.*", "encoder.layers.encoder_layer_#.mlp.0.*"},
    {"blocks.#.mlp.fc2.*", "encoder.layers.encoder_layer_#.mlp.3.*"},
    {"blocks.#.mlp.fc1.*", "encoder.layers.encoder_layer_#.mlp.linear_1.*"},  // torchvision before 0.14, and its
    {"blocks.#.mlp.fc2.*", "encoder.layers.encoder_layer_#.mlp.linear_2.*"},  // published files
    {"norm.*", "encoder.ln.*"},
    {"head.*", "heads.head.*"},
};

// Its CLIP towers end in the projection, as a classifier of 512 classes whose bias is zero.
constexpr NameRule kTimmClip[] = {
    {"proj.weight", "head.weight"},
    {"proj.bias", "head.bias", Form::zeros},
    {"**", "**"},
};

constexpr NameRule kHfViT[] = {
    {"patch_embed.proj.*", "vit.embeddings.patch_embeddings.projection.*"},
    {"cls_token", "vit.embeddings.cls_token"},
    {"pos_embed", "vit.embeddings.position_embeddings"},
    {"blocks.#.norm1.*", "vit.encoder.layer.#.layernorm_before.*"},
    {"blocks.#.attn.qkv.*", "vit.encoder.layer.#.attention.attention.{query|key|value}.*"},
    {"blocks.#.attn.proj.*", "vit.encoder.layer.#.attention.output.dense.*"},
    {"blocks.#.norm2.*", "vit.encoder.layer.#.layernorm_after.*"},
    {"blocks.#.mlp.fc1.*", "vit.encoder.layer.#.intermediate.dense.*"},
    {"blocks.#.mlp.fc2.*", "vit.encoder.layer.#.output.dense.*"},
    // What transformers 5 calls them in memory; its save_pretrained writes the names above.
    {"blocks.#.attn.qkv.*", "vit.layers.#.attention.{q_proj|k_proj|v_proj}.*"},
    {"blocks.#.attn.proj.*", "vit.layers.#.attention.o_proj.*"},
    {"blocks.#.norm1.*", "vit.layers.#.layernorm_before.*"},
    {"blocks.#.norm2.*", "vit.layers.#.layernorm_after.*"},
    {"blocks.#.mlp.fc1.*", "vit.layers.#.mlp.fc1.*"},
    {"blocks.#.mlp.fc2.*", "vit.layers.#.mlp.fc2.*"},
    {"norm.*", "vit.layernorm.*"},
    {"head.*", "classifier.*"},
};

// One file holds both towers; the text's is left alone.
constexpr NameRule kHfClip[] = {
    {"patch_embed.proj.weight", "vision_model.embeddings.patch_embedding.weight"},
    {"cls_token", "vision_model.embeddings.class_embedding", Form::flat},
    {"pos_embed", "vision_model.embeddings.position_embedding.weight", Form::flat},
    {"norm_pre.*", "vision_model.pre_layrnorm.*"},  // so spelt
    {"blocks.#.norm1.*", "vision_model.encoder.layers.#.layer_norm1.*"},
    {"blocks.#.attn.qkv.*", "vision_model.encoder.layers.#.self_attn.{q_proj|k_proj|v_proj}.*"},
    {"blocks.#.attn.proj.*", "vision_model.encoder.layers.#.self_attn.out_proj.*"},
    {"blocks.#.norm2.*", "vision_model.encoder.layers.#.layer_norm2.*"},
    {"blocks.#.mlp.fc1.*", "vision_model.encoder.layers.#.mlp.fc1.*"},
    {"blocks.#.mlp.fc2.*", "vision_model.encoder.layers.#.mlp.fc2.*"},
    {"norm.*", "vision_model.post_layernorm.*"},
    {"proj.weight", "visual_projection.weight"},
};

constexpr NameRule kOpenAiClip[] = {
    {"patch_embed.proj.weight", "visual.conv1.weight"},
    {"cls_token", "visual.class_embedding", Form::flat},
    {"pos_embed", "visual.positional_embedding", Form::flat},
    {"norm_pre.*", "visual.ln_pre.*"},
    {"blocks.#.norm1.*", "visual.transformer.resblocks.#.ln_1.*"},
    {"blocks.#.attn.qkv.weight", "visual.transformer.resblocks.#.attn.in_proj_weight"},
    {"blocks.#.attn.qkv.bias", "visual.transformer.resblocks.#.attn.in_proj_bias"},
    {"blocks.#.attn.proj.*", "visual.transformer.resblocks.#.attn.out_proj.*"},
    {"blocks.#.norm2.*", "visual.transformer.resblocks.#.ln_2.*"},
    {"blocks.#.mlp.fc1.*", "visual.transformer.resblocks.#.mlp.c_fc.*"},
    {"blocks.#.mlp.fc2.*", "visual.transformer.resblocks.#.mlp.c_proj.*"},
    {"norm.*", "visual.ln_post.*"},
    {"proj.weight", "visual.proj", Form::transposed},
};

constexpr size_t kMaxDigits = 6;

// What # % * and ** stand for in `name`, in order; nothing if it does not match.
std::optional<std::vector<std::string>> match(std::string_view pattern, std::string_view name) {
  std::vector<std::string> found;
  while (!pattern.empty()) {
    size_t n = 0;
    if (pattern == "**") {
      n = name.size();
      pattern.remove_prefix(1);
    } else if (pattern[0] == '*') {
      n = std::min(name.find('.'), name.size());
    } else if (pattern[0] == '#' || pattern[0] == '%') {
      n = std::min(name.find_first_not_of("0123456789"), name.size());
      if (n > kMaxDigits || (n > 1 && name[0] == '0')) return {};  // one text for each number
    } else {
      if (name.empty() || name[0] != pattern[0]) return {};
      pattern.remove_prefix(1);
      name.remove_prefix(1);
      continue;
    }
    if (n == 0) return {};
    found.emplace_back(name.substr(0, n));
    pattern.remove_prefix(1);
    name.remove_prefix(n);
  }
  if (!name.empty()) return {};
  return found;
}

// The pattern with `found` in it; `shift` is added to what stands for %. Nothing if that gives a negative number.
std::optional<std::string> filled(std::string_view pattern, const std::vector<std::string>& found, int shift) {
  std::string name;
  auto next = found.begin();
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] == '%') {
      const int number = std::stoi(*next++) + shift;
      if (number < 0) return {};
      name += std::to_string(number);
    } else if (pattern[i] == '#' || pattern[i] == '*') {
      name += *next++;
      if (pattern.substr(i) == "**") break;
    } else {
      name += pattern[i];
    }
  }
  return name;
}

// "a.{q|k}.b" → "a.q.b", "a.k.b".
std::vector<std::string> alternatives(std::string_view pattern) {
  const size_t open = pattern.find('{'), close = pattern.find('}');
  if (open == std::string_view::npos) return {std::string(pattern)};
  std::vector<std::string> all;
  for (size_t begin = open + 1; begin < close;) {
    const size_t end = std::min(pattern.find('|', begin), close);
    all.push_back(std::string(pattern.substr(0, open)).append(pattern.substr(begin, end - begin)) +
                  std::string(pattern.substr(close + 1)));
    begin = end + 1;
  }
  return all;
}

}  // namespace

const std::vector<Scheme>& schemes() {
  static const std::vector<Scheme> all = {
      {"torchvision", "resnet", {"layer1.0.conv1.weight"}, "", kSame, {}, {}},
      {"timm", "resnet", {"layer1.0.conv1.weight"}, "", kSame, {}, {}},
      {"hf", "resnet", {"encoder.stages.0.layers.0.layer.0.convolution.weight"}, "resnet.", kHfResNet, {}, {}},
      {"torchvision",
       "vit",
       {"encoder.layers.encoder_layer_0.self_attention.in_proj_weight"},
       "",
       kTorchvisionViT,
       {},
       {}},
      // Before "vit", whose anchor these files have as well.
      {"timm", "clip", {"norm_pre.weight"}, "", kTimmClip, {}, {"head.*"}},
      {"timm", "vit", {"blocks.0.attn.qkv.weight"}, "", kSame, {}, {}},
      {"hf",
       "vit",
       {"encoder.layer.0.attention.attention.query.weight", "layers.0.attention.q_proj.weight"},
       "vit.",
       kHfViT,
       {"vit.pooler.dense.*", "vit.embeddings.mask_token"},
       {}},
      {"hf",
       "clip",
       {"vision_model.encoder.layers.0.self_attn.q_proj.weight"},
       "",
       kHfClip,
       {"text_model.**", "text_projection.weight", "logit_scale", "vision_model.embeddings.position_ids"},
       {"head.*"}},
      {"openai",
       "clip",
       {"visual.transformer.resblocks.0.attn.in_proj_weight"},
       "",
       kOpenAiClip,
       {"transformer.**", "token_embedding.weight", "positional_embedding", "ln_final.*", "text_projection",
        "logit_scale", "input_resolution", "context_length", "vocab_size"},
       {"head.*"}},
  };
  return all;
}

const Scheme* find_scheme(std::string_view family, std::string_view name) {
  for (const Scheme& s : schemes())
    if (s.family == family && s.name == name) return &s;
  return nullptr;
}

bool has_classifier(const Scheme& s) {
  return std::none_of(s.ours_only.begin(), s.ours_only.end(),
                      [](auto p) { return match(p, "head.weight").has_value(); });
}

std::vector<TheirName> their_names(const Scheme& scheme, const std::string& name) {
  for (const NameRule& rule : scheme.rules) {
    const auto found = match(rule.ours, name);
    if (!found) continue;
    std::vector<TheirName> all;
    const std::vector<std::string> pieces = alternatives(rule.theirs);
    for (const std::string& piece : pieces)
      if (const auto theirs = filled(piece, *found, -1))
        all.push_back({*theirs, std::ssize(all), std::ssize(pieces), rule.form});
    if (all.size() == pieces.size()) return all;
  }
  return {};
}

TheirName our_name(const Scheme& scheme, const std::string& theirs) {
  for (const NameRule& rule : scheme.rules) {
    const std::vector<std::string> pieces = alternatives(rule.theirs);
    for (size_t i = 0; i < pieces.size(); ++i)
      if (const auto found = match(pieces[i], theirs))
        return {*filled(rule.ours, *found, 1), static_cast<int64_t>(i), std::ssize(pieces), rule.form};
  }
  return {};
}

bool is_unused(const Scheme& scheme, const std::string& theirs) {
  return theirs.ends_with(".num_batches_tracked") ||
         std::any_of(scheme.unused.begin(), scheme.unused.end(), [&](auto p) { return match(p, theirs).has_value(); });
}

Shape their_shape(const Shape& s) { return s.rank() == 4 ? Shape{s[0], s[3], s[1], s[2]} : s; }

Tensor to_their_layout(const Tensor& t) {
  const NoGrad no_grad;
  return t.rank() == 4 ? permute(t, {0, 3, 1, 2}) : t;
}

Tensor to_our_layout(const Tensor& t) {
  const NoGrad no_grad;
  return t.rank() == 4 ? permute(t, {0, 2, 3, 1}) : t;
}

State to_theirs(const Scheme& scheme, const State& ours) {
  State all;
  const NoGrad no_grad;
  for (const auto& [name, tensor] : ours) {
    if (std::any_of(scheme.ours_only.begin(), scheme.ours_only.end(),
                    [&](auto p) { return match(p, name).has_value(); }))
      continue;
    const std::vector<TheirName> names = their_names(scheme, name);
    check(!names.empty(), "weights: {} has no name for {}", scheme.name, name);
    Tensor theirs = to_their_layout(tensor.detach().to(Device{}));
    if (names.front().form == Form::transposed) theirs = transpose(theirs, 0, 1);
    if (names.front().form == Form::flat)
      theirs = theirs.reshape(theirs.size(1) == 1 ? Shape{theirs.size(2)} : Shape{theirs.size(1), theirs.size(2)});
    const int64_t rows = names.size() == 1 ? 0 : theirs.size(0) / std::ssize(names);
    for (const TheirName& n : names) all[n.name] = names.size() == 1 ? theirs : theirs.narrow(n.piece * rows, rows);
    if (constexpr std::string_view weight = "weight"; name.ends_with(weight)) {
      const std::string bias = name.substr(0, name.size() - weight.size()) + "bias";
      const std::vector<TheirName> beside = their_names(scheme, bias);
      if (!beside.empty() && beside.front().form == Form::zeros)
        all[beside.front().name] = zeros({theirs.size(0)}, theirs.dtype());
    }
    if (constexpr std::string_view variance = "running_var"; name.ends_with(variance)) {
      const std::string& n = names.front().name;
      all[n.substr(0, n.size() - variance.size()) + "num_batches_tracked"] = zeros({}, DType::i64);
    }
  }
  return all;
}

}  // namespace holt::nn
