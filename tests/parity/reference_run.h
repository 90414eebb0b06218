// holt's side of the comparisons with PyTorch: a model with known weights computes logits, gradients, or trains for a
// few steps on images from the counter (counter.h). Results bear the names and the layout of torchvision's ResNets and
// timm's vision transformers. In f64, which every op has on the cpu, what is computed is compared to the last digits:
// there the formulas are proved, in f32 the rounding.
#pragma once
#include <cmath>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "nn/models/registry.h"
#include "nn/optim.h"
#include "nn/train_loop.h"
#include "tests/parity/counter.h"

namespace holt::parity {

struct Case {
  std::string model;
  int64_t classes = 10, size = 64, batch = 4;
  std::string weights = {};  ///< a file; "": from the counter
  std::string head = {};     ///< of a CLIP tower: the file of class embeddings
  int seed = 0;              ///< of the images
  DType dtype = DType::f32;  ///< or f64: of weights, images and all between
};

struct Stepping {
  std::string optimizer;  ///< sgd, adamw
  int steps = 10;
  double lr = 0.1, momentum = 0, weight_decay = 0, eps = 1e-8;
  bool nesterov = false;
};

/// Parameters and buffers of another dtype.
inline void convert(nn::Module& model, DType dtype) {
  for (auto& [name, module] : model.named_modules()) {
    nn::Parts parts = module->parts();
    for (auto& [part, t] : parts.parameters)
      if (*t) *t = t->detach().to(dtype).requires_grad_();
    for (auto& [part, t] : parts.buffers)
      if (*t) *t = t->to(dtype);
  }
}

/// The formulas of nn/optim.h in double, for a model in f64: holt's optimisers keep f32 parameters.
class ExactOptimizer {
 public:
  ExactOptimizer(nn::TensorList parameters, Stepping s) : parameters_(std::move(parameters)), s_(std::move(s)) {}

  void step() {
    ++t_;
    for (auto& [name, parameter] : parameters_) {
      const auto n = static_cast<size_t>(parameter.numel());
      std::vector<double>&m = first_[name], &v = second_[name];
      m.resize(n), v.resize(n);
      for (size_t i = 0; i < n; ++i)
        update(parameter.data<double>()[i], parameter.grad().data<double>()[i], m[i], v[i]);
      parameter.bump_version();
    }
  }
  void zero_grad() {
    for (auto& [name, parameter] : parameters_) parameter.set_grad({});
  }

 private:
  void update(double& x, double g, double& m, double& v) const {
    if (s_.optimizer == "sgd") {
      g += s_.weight_decay * x;
      m = s_.momentum * m + g;
      x -= s_.lr * (s_.nesterov ? g + s_.momentum * m : m);
      return;
    }
    const nn::AdamWOptions o;
    m = o.beta1 * m + (1 - o.beta1) * g;
    v = o.beta2 * v + (1 - o.beta2) * g * g;
    x -= s_.lr * (m / (1 - std::pow(o.beta1, t_)) / (std::sqrt(v / (1 - std::pow(o.beta2, t_))) + s_.eps) +
                  s_.weight_decay * x);
  }

  nn::TensorList parameters_;
  Stepping s_;
  int t_ = 0;
  std::map<std::string, std::vector<double>> first_, second_;
};

/// A model of the counter's is built once: drawing what is then replaced takes longer than all else.
inline std::unique_ptr<nn::Model> make(const Case& c) {
  static std::map<std::string, std::unique_ptr<nn::Model>> built;
  const std::string key = format("{} {} {} {} {}", c.model, c.classes, c.size, c.weights, c.dtype);
  if (const auto it = built.find(key); it != built.end()) return nn::clone(*it->second);
  Generator overwritten;
  nn::ModelConfig config = nn::parse_model(c.model);
  if (!c.head.empty()) config.options["head"] = c.head;
  config.classes = c.classes, config.channels = 3, config.height = config.width = c.size;
  auto model = nn::make_model(config, overwritten);
  if (c.weights.empty()) {
    fill_by_counter(*model);
  } else {
    const std::vector<std::string> notes = nn::load_weights(nn::read_weights(c.weights), *model);
    check(notes.empty() || !c.head.empty(), "parity: {} was to fit as it is: {}", c.weights,
          notes.empty() ? "" : notes.front());
  }
  convert(*model, c.dtype);
  if (c.weights.empty()) built[key] = nn::clone(*model);
  return model;
}

inline Tensor images(const Case& c, int step) { return counter_images(step, c.batch, c.size, c.seed).to(c.dtype); }

/// In evaluation mode.
inline Tensor logits(const Case& c) {
  const NoGrad no_grad;
  const auto model = make(c);
  model->eval();
  return (*model)(images(c, 0));
}

/// Of the mean cross-entropy in training mode, in holt's layout; and the loss.
inline nn::State gradients(const Case& c, double& loss) {
  const auto model = make(c);
  const Tensor l = cross_entropy((*model)(images(c, 0)), counter_labels(0, c.batch, c.classes));
  loss = l.item();
  l.backward();
  nn::State all;
  for (const auto& [name, t] : model->named_parameters()) all[name] = t.grad();
  return all;
}

inline std::unique_ptr<nn::Optimizer> make_optimizer(const nn::Model& model, const Stepping& s) {
  if (s.optimizer == "sgd")
    return std::make_unique<nn::SGD>(
        model.named_parameters(),
        nn::SGDOptions{.lr = s.lr, .momentum = s.momentum, .nesterov = s.nesterov, .weight_decay = s.weight_decay});
  return std::make_unique<nn::AdamW>(model.named_parameters(),
                                     nn::AdamWOptions{.lr = s.lr, .eps = s.eps, .weight_decay = s.weight_decay});
}

/// The state after the steps, in holt's layout; and the loss before each.
inline nn::State trained(const Case& c, const Stepping& s, std::vector<double>& losses) {
  const auto model = make(c);
  if (c.dtype == DType::f64) {
    ExactOptimizer optimizer(model->named_parameters(), s);
    for (int step = 0; step < s.steps; ++step) {
      const Tensor loss = cross_entropy((*model)(images(c, step)), counter_labels(step, c.batch, c.classes));
      losses.push_back(loss.item());
      loss.backward();
      optimizer.step();
      optimizer.zero_grad();
    }
  } else {
    const auto optimizer = make_optimizer(*model, s);
    nn::Scores scores;
    for (int step = 0; step < s.steps; ++step)
      losses.push_back(
          nn::train_step(*model, *optimizer, images(c, step), counter_labels(step, c.batch, c.classes), scores));
  }
  return nn::clone(model->state());
}

}  // namespace holt::parity
