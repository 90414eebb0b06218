// holt's side of the comparisons with PyTorch: a model with known weights computes logits, gradients, or trains for a
// few steps on images from the counter (counter.h). Results bear the names and the layout of torchvision's ResNets and
// timm's vision transformers.
#pragma once
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
  int seed = 0;              ///< of the images
};

struct Stepping {
  std::string optimizer;  ///< sgd, adamw
  int steps = 10;
  double lr = 0.1, momentum = 0, weight_decay = 0, eps = 1e-8;
  bool nesterov = false;
};

/// A model of the counter's is built once: drawing what is then replaced takes longer than all else.
inline std::unique_ptr<nn::Model> make(const Case& c) {
  static std::map<std::string, std::unique_ptr<nn::Model>> built;
  const std::string key = format("{} {} {} {}", c.model, c.classes, c.size, c.weights);
  if (const auto it = built.find(key); it != built.end()) return nn::clone(*it->second);
  Generator overwritten;
  nn::ModelConfig config = nn::parse_model(c.model);
  config.classes = c.classes, config.channels = 3, config.height = config.width = c.size;
  auto model = nn::make_model(config, overwritten);
  if (c.weights.empty()) {
    fill_by_counter(*model);
  } else {
    const std::vector<std::string> notes = nn::load_weights(nn::read_weights(c.weights), *model);
    check(notes.empty(), "parity: {} was to fit as it is: {}", c.weights, notes.empty() ? "" : notes.front());
  }
  if (c.weights.empty()) built[key] = nn::clone(*model);
  return model;
}

/// In evaluation mode.
inline Tensor logits(const Case& c) {
  const NoGrad no_grad;
  const auto model = make(c);
  model->eval();
  return (*model)(counter_images(0, c.batch, c.size, c.seed));
}

/// Of the mean cross-entropy in training mode, in holt's layout; and the loss.
inline nn::State gradients(const Case& c, double& loss) {
  const auto model = make(c);
  const Tensor l =
      cross_entropy((*model)(counter_images(0, c.batch, c.size, c.seed)), counter_labels(0, c.batch, c.classes));
  loss = l.item();
  l.backward();
  nn::State all;
  for (const auto& [name, t] : model->named_parameters()) all[name] = t.grad();
  return all;
}

/// The state after the steps, in holt's layout; and the loss before each.
inline nn::State trained(const Case& c, const Stepping& s, std::vector<double>& losses) {
  const auto model = make(c);
  std::unique_ptr<nn::Optimizer> optimizer;
  if (s.optimizer == "sgd")
    optimizer = std::make_unique<nn::SGD>(
        model->named_parameters(),
        nn::SGDOptions{.lr = s.lr, .momentum = s.momentum, .nesterov = s.nesterov, .weight_decay = s.weight_decay});
  else
    optimizer = std::make_unique<nn::AdamW>(model->named_parameters(),
                                            nn::AdamWOptions{.lr = s.lr, .eps = s.eps, .weight_decay = s.weight_decay});
  nn::Scores scores;
  for (int step = 0; step < s.steps; ++step)
    losses.push_back(nn::train_step(*model, *optimizer, counter_images(step, c.batch, c.size, c.seed),
                                    counter_labels(step, c.batch, c.classes), scores));
  return nn::clone(model->state());
}

}  // namespace holt::parity
