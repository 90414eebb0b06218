#include "apps/holt/config.h"

#include <nlohmann/json.hpp>

namespace holt::app {
namespace {

// f(key, member) for each member: the one list for both directions.
template <class Config, class F>
void each(Config& c, F&& f) {
  f("data", c.data);
  f("limit_train", c.limit_train);
  f("limit_test", c.limit_test);
  f("model", c.model);
  f("weights", c.weights);
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
  f("pad", c.pad);
  f("flip", c.flip);
  f("seed", c.seed);
  f("precision", c.precision);
}

}  // namespace

void to_json(nlohmann::json& j, const TrainConfig& c) {
  each(c, [&](const char* key, const auto& member) { j[key] = member; });
}
void from_json(const nlohmann::json& j, TrainConfig& c) {
  each(c, [&](const std::string& key, auto& member) {
    if ((key == "precision" || key == "weights") && !j.contains(key)) return;  // from before there was a choice
    j.at(key).get_to(member);
  });
}

}  // namespace holt::app
