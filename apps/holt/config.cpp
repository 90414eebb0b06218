#include "apps/holt/config.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string_view>

namespace holt::app {
namespace {

// A checkpoint from before there was a choice has what was done then, which are the defaults.
constexpr std::array<std::string_view, 8> kLater = {"precision",    "weights", "freeze", "image_size",
                                                    "skip_corrupt", "augment", "mixup",  "cutmix"};

// f(key, member) for each member: the one list for both directions.
template <class Config, class F>
void each(Config& c, F&& f) {
  f("data", c.data);
  f("limit_train", c.limit_train);
  f("limit_test", c.limit_test);
  f("model", c.model);
  f("weights", c.weights);
  f("freeze", c.freeze);
  f("epochs", c.epochs);
  f("max_steps", c.max_steps);
  f("batch", c.batch);
  f("optimizer", c.optimizer);
  f("lr", c.lr);
  f("momentum", c.momentum);
  f("weight_decay", c.weight_decay);
  f("schedule", c.schedule);
  f("warmup", c.warmup);
  f("label_smoothing", c.label_smoothing);
  f("image_size", c.image_size);
  f("skip_corrupt", c.skip_corrupt);
  f("augment", c.augment);
  f("pad", c.pad);
  f("flip", c.flip);
  f("mixup", c.mixup);
  f("cutmix", c.cutmix);
  f("seed", c.seed);
  f("precision", c.precision);
}

}  // namespace

void to_json(nlohmann::json& j, const TrainConfig& c) {
  each(c, [&](const char* key, const auto& member) { j[key] = member; });
}
void from_json(const nlohmann::json& j, TrainConfig& c) {
  each(c, [&](const std::string& key, auto& member) {
    if (std::find(kLater.begin(), kLater.end(), key) != kLater.end() && !j.contains(key)) return;
    j.at(key).get_to(member);
  });
}

}  // namespace holt::app
