#include <algorithm>
#include <cmath>

#include "core/autograd.h"
#include "core/ops.h"
#include "nn/models/vit.h"
#include "nn/state.h"
#include "nn/weights/weights.h"

namespace holt::nn {
namespace {

class Loader {
 public:
  Loader(const Weights& weights, Model& model, bool classifier)
      : w_(weights), model_(model), classifier_matters_(classifier) {}

  std::vector<std::string> run() {
    const NoGrad no_grad;
    check_family();
    own_ = model_.state();
    find_classifier();
    for (const auto& [name, pieces] : w_.pieces)
      if (own_.count(name))
        take(name, pieces);
      else
        for (const Weights::Piece& p : pieces) extra_.push_back(w_.prefix + p.theirs);
    extra_.insert(extra_.end(), w_.unexpected.begin(), w_.unexpected.end());
    for (const auto& [name, tensor] : own_)
      if (!w_.pieces.contains(name) && !in_classifier(name))
        for (const std::string& theirs : their_names_of(name)) missing_.push_back(theirs);
    check(missing_.empty() && extra_.empty() && misshapen_.empty(), "{}: does not fit {}{}{}{}", w_.file.path,
          to_string(model_.config()), first_ten("missing", missing_), first_ten("unexpected", extra_),
          first_ten("misshapen", misshapen_));
    copy_into("load_weights: the weights do not fit", own_, taken_, false);
    say_dtypes();
    return std::move(notes_);
  }

 private:
  void check_family() const {
    const std::string wanted = family_of(model_.config());
    if (w_.scheme == "holt") {
      check(w_.config.name == model_.config().name, "{}: holds {}, expected {}", w_.file.path, w_.config.name,
            model_.config().name);
    } else {
      check(!wanted.empty(), "{}: {} takes weights from holt's own files alone; this one has names of {}", w_.file.path,
            model_.config().name, w_.scheme);
      check(wanted == w_.family, "{}: holds a {} with names of {}, expected {}", w_.file.path, w_.family, w_.scheme,
            model_.config().name);
    }
  }

  void find_classifier() {
    for (auto& [name, module] : model_.named_modules())
      if (module == &model_.classifier()) classifier_ = name + ".";
    const auto it = w_.pieces.find(classifier_ + "weight");
    const int64_t classes = model_.classifier().out_features();
    std::string why;
    if (it == w_.pieces.end())
      why = "has none";
    else if (const Tensor t = it->second.front().tensor; t.rank() == 2 && t.size(0) != classes)
      why = format("has one for {}", t.size(0));
    new_classifier_ = !why.empty();
    if (new_classifier_ && classifier_matters_)
      notes_.push_back(format("the classifier stays the model's own, for {} classes: the file {}", classes, why));
  }
  bool in_classifier(const std::string& name) const { return new_classifier_ && name.starts_with(classifier_); }

  std::vector<std::string> their_names_of(const std::string& ours) const {
    if (!w_.names) return {w_.prefix + ours};
    std::vector<std::string> all;
    for (const TheirName& n : their_names(*w_.names, ours)) all.push_back(w_.prefix + n.name);
    return all;
  }

  void take(const std::string& name, const std::vector<Weights::Piece>& pieces) {
    if (in_classifier(name)) return;
    const Tensor& own = own_.at(name);
    const Shape whole = w_.names ? their_shape(own.shape()) : own.shape();  // as the file has it
    Shape part = whole;
    if (pieces.size() > 1) part.set(0, whole[0] / std::ssize(pieces));
    std::vector<Tensor> parts;
    for (size_t i = 0; i < pieces.size(); ++i) {
      const Tensor& t = pieces[i].tensor;
      if (!t)
        missing_.push_back(their_names_of(name)[i]);
      else if (!is_float(t.dtype()))
        misshapen_.push_back(
            format("{}{}: expected f32 {}, got {} {}", w_.prefix, pieces[i].theirs, part, t.dtype(), t.shape()));
      else if (t.shape() == part || adaptable(name, t, part))
        parts.push_back(t);
      else
        misshapen_.push_back(format("{}{}: expected {}, got {}", w_.prefix, pieces[i].theirs, part, t.shape()));
    }
    if (parts.size() != pieces.size()) return;
    for (Tensor& t : parts) t = as_f32(t);
    Tensor t = parts.size() == 1 ? parts.front() : concat(parts, 0);
    if (t.shape() != whole) t = adapted(name, t);
    taken_[name] = w_.names ? to_our_layout(t) : t;
  }

  // ---- What another size of image or number of channels makes of a tensor
  bool is_positions(const std::string& name) const {
    return name == "pos_embed" && dynamic_cast<ViT*>(&model_) != nullptr;
  }
  static int64_t side(const Tensor& positions) {
    return std::lround(std::sqrt(static_cast<double>(positions.size(1) - 1)));
  }
  bool is_stem(const std::string& name) const { return name == "conv1.weight" || name == "patch_embed.proj.weight"; }
  // The axis of a convolution weight's input channels.
  int channels() const { return w_.names ? 1 : 3; }

  bool adaptable(const std::string& name, const Tensor& t, const Shape& wanted) const {
    if (is_positions(name))
      return t.rank() == 3 && t.size(0) == 1 && t.size(2) == wanted[2] && t.size(1) >= 2 &&
             side(t) * side(t) + 1 == t.size(1);
    if (!is_stem(name) || t.rank() != 4 || wanted[channels()] != 1 || t.size(channels()) != 3) return false;
    Shape gray = t.shape();
    gray.set(channels(), 1);
    return gray == wanted;
  }

  Tensor adapted(const std::string& name, const Tensor& t) {
    if (is_positions(name)) {
      const auto& vit = dynamic_cast<const ViT&>(model_);
      notes_.push_back(format("position embeddings are interpolated from {}×{} patches to {}×{}", side(t), side(t),
                              vit.grid_height(), vit.grid_width()));
      return interpolate_positions(t, side(t), side(t), vit.grid_height(), vit.grid_width());
    }
    notes_.push_back(format("{}: the weights of red, green and blue are summed for gray images", name));
    Tensor gray = slice(t, channels(), 0, 1);
    for (int64_t i = 1; i < 3; ++i) gray = gray + slice(t, channels(), i, i + 1);
    return gray;
  }

  // ---- Dtypes
  Tensor as_f32(const Tensor& t) {
    ++dtypes_[t.dtype()];
    return t.to(DType::f32);
  }
  void say_dtypes() {
    for (const auto& [dtype, n] : dtypes_)
      if (dtype != DType::f32)
        notes_.push_back(
            format("{} tensors of {} are {} to f32", n, dtype, dtype == DType::f64 ? "rounded" : "widened"));
  }

  const Weights& w_;
  Model& model_;
  State own_, taken_;
  std::string classifier_;  // "fc."
  bool classifier_matters_, new_classifier_ = false;
  std::map<DType, int> dtypes_;
  std::vector<std::string> missing_, extra_, misshapen_, notes_;
};

}  // namespace

std::vector<std::string> load_weights(const Weights& weights, Model& model, bool classifier) {
  return Loader(weights, model, classifier).run();
}

}  // namespace holt::nn
