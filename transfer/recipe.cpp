#include "transfer/recipe.h"

#include <map>
#include <nlohmann/json.hpp>

namespace holt::transfer {
namespace {

Recipe small_images() {
  Recipe r;
  r.protocol = "3×3 stem of 16 with stride 2, blocks of 16, 32 and 64; 100 steps at lr 0.005, batch 32";
  return r;
}

Recipe office_home() {
  Recipe r;
  r.source = {
      .model = "resnet20", .epochs = 20, .batch = 64, .lr = 0.01, .weight_decay = 5e-4, .flip = true, .threads = 0};
  r.options.batch = 64;
  r.options.lr = 0.001;
  r.options.weight_decay = 5e-4;
  r.options.schedule = "cosine";
  r.options.steps = 500;
  r.options.locals = 10;
  r.protocol = "Tu et al. 2023 for Office-Home, but for the network: batch 64, lr 0.001, weight decay 5e-4, cosine";
  return r;
}

Recipe femnist() {
  Recipe r = small_images();
  r.source.model = "lenet";
  r.source.lr = 0.05;
  r.split = "present";
  r.protocol =
      "Tu et al. 2023 for FEMNIST: LeNet, one new writer at a time; the seen classes are those the writer wrote";
  return r;
}

}  // namespace

Recipe recipe_for(const std::string& benchmark) {
  static const std::map<std::string, Recipe (*)()> recipes = {
      {"folder", office_home}, {"iwildcam", office_home}, {"femnist", femnist}};
  const auto it = recipes.find(benchmark);
  return it == recipes.end() ? small_images() : it->second();
}

void to_json(nlohmann::json& j, const SourceTraining& s) {
  j = {{"model", s.model},
       {"epochs", s.epochs},
       {"batch", s.batch},
       {"lr", s.lr},
       {"weight_decay", s.weight_decay},
       {"flip", s.flip},
       {"pad", s.pad},
       {"seed", s.seed},
       {"threads", s.threads}};
  if (!s.weights.empty()) j["weights"] = s.weights;
}

}  // namespace holt::transfer
