#include "nn/usage.h"
#include "core/json.h"

#include <cmath>
#include <nlohmann/json.hpp>

namespace holt::nn {

using Json = nlohmann::json;

void validate(const Usage& u, const ModelConfig& c, const std::string& source) {
  check(static_cast<int64_t>(u.classes.size()) == c.classes, "{}: names {} classes, but {} has {}", source,
        u.classes.size(), c.name, c.classes);
  check(static_cast<int64_t>(u.mean.size()) == c.channels && u.std.size() == u.mean.size(),
        "{}: mean and std must be {} numbers each, are {} and {}", source, c.channels, u.mean.size(), u.std.size());
  for (size_t i = 0; i < u.std.size(); ++i)
    check(std::isfinite(u.mean[i]) && std::isfinite(u.std[i]) && u.std[i] > 0,
          "{}: channel {} has mean {} and std {}, expected finite numbers and a positive std", source, i, u.mean[i],
          u.std[i]);
}

Metadata to_metadata(const Usage& u) {
  return {{"usage", json_text(Json{{"classes", u.classes}, {"mean", u.mean}, {"std", u.std}})}};
}

Usage usage_from_metadata(const Metadata& m, const ModelConfig& c, const std::string& source) {
  const auto it = m.find("usage");
  check(it != m.end(), "{}: does not say how to use its model: the metadata has no 'usage'", source);
  Usage u;
  try {
    const Json j = parse_json(it->second);
    j.at("classes").get_to(u.classes);
    j.at("mean").get_to(u.mean);
    j.at("std").get_to(u.std);
  } catch (const Json::exception& e) { fail("{}: the metadata entry 'usage' is damaged: {}", source, e.what()); }
  validate(u, c, source);
  return u;
}

}  // namespace holt::nn
