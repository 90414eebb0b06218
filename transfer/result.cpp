#include "transfer/result.h"

#include <cmath>
#include <nlohmann/json.hpp>

namespace holt::transfer {
namespace {

using nlohmann::json;

// Four digits say more than a report can show, and keep the file small.
json rounded(const std::vector<float>& values) {
  json list = json::array();
  for (const float v : values) list.push_back(std::isfinite(v) ? json(std::round(v * 1e4) / 1e4) : json(nullptr));
  return list;
}

std::vector<float> floats(const json& list) {
  std::vector<float> values;
  for (const json& v : list) values.push_back(v.is_null() ? NAN : v.get<float>());
  return values;
}

}  // namespace

void to_json(json& j, const Accuracies& a) {
  j = {{"gamma", a.gamma}, {"overall", a.overall}, {"seen", a.seen}, {"unseen", a.unseen}, {"hmean", a.hmean}};
}
void from_json(const json& j, Accuracies& a) {
  j.at("gamma").get_to(a.gamma);
  j.at("overall").get_to(a.overall);
  j.at("seen").get_to(a.seen);
  j.at("unseen").get_to(a.unseen);
  j.at("hmean").get_to(a.hmean);
}

void to_json(json& j, const Sample& s) { j = json::array({s.position, s.label, s.predicted, s.probability}); }
void from_json(const json& j, Sample& s) {
  j.at(0).get_to(s.position);
  j.at(1).get_to(s.label);
  j.at(2).get_to(s.predicted);
  j.at(3).get_to(s.probability);
}

void to_json(json& j, const Checkpoint& c) { j = json::array({c.step, c.seen, c.unseen}); }
void from_json(const json& j, Checkpoint& c) {
  j.at(0).get_to(c.step);
  j.at(1).get_to(c.seen);
  j.at(2).get_to(c.unseen);
}

void to_json(json& j, const Result& r) {
  j = {{"id", r.id},
       {"data", r.data},
       {"source", r.source},
       {"target", r.target},
       {"method", r.method},
       {"classes", r.classes},
       {"seed", r.seed},
       {"split", r.split},
       {"options", r.options},
       {"selection", r.selection},
       {"selected", r.selected},
       {"source_id", r.source_id},
       {"commit", r.commit},
       {"device", r.device},
       {"precision", r.precision},
       {"threads", r.threads},
       {"seconds", r.seconds},
       {"selection_seconds", r.selection_seconds},
       {"peak_bytes", r.peak_bytes}};
  if (!r.error.empty()) {
    j["error"] = r.error;
    return;
  }
  j["plain"] = r.plain;
  j["seen_in_seen"] = r.seen_in_seen;
  j["unseen_in_unseen"] = r.unseen_in_unseen;
  j["ausuc"] = r.ausuc;
  j["ncm"] = r.ncm;
  j["calibrated"] = r.calibrated;
  j["curve"] = r.curve;
  j["class_count"] = r.class_count;
  j["class_correct"] = r.class_correct;
  j["confusion"] = r.confusion;
  j["loss"] = rounded(r.loss);
  j["batch_accuracy"] = rounded(r.batch_accuracy);
  j["checkpoints"] = r.checkpoints;
  j["samples"] = r.samples;
}

void from_json(const json& j, Result& r) {
  j.at("id").get_to(r.id);
  j.at("data").get_to(r.data);
  j.at("source").get_to(r.source);
  j.at("target").get_to(r.target);
  j.at("method").get_to(r.method);
  j.at("classes").get_to(r.classes);
  j.at("seed").get_to(r.seed);
  j.at("split").get_to(r.split);
  j.at("options").get_to(r.options);
  j.at("selection").get_to(r.selection);
  j.at("selected").get_to(r.selected);
  j.at("source_id").get_to(r.source_id);
  j.at("commit").get_to(r.commit);
  j.at("device").get_to(r.device);
  r.precision = j.value("precision", "f32");  // results from before there was a choice
  j.at("threads").get_to(r.threads);
  j.at("seconds").get_to(r.seconds);
  j.at("selection_seconds").get_to(r.selection_seconds);
  j.at("peak_bytes").get_to(r.peak_bytes);
  if (j.contains("error")) {
    j.at("error").get_to(r.error);
    return;
  }
  j.at("plain").get_to(r.plain);
  j.at("seen_in_seen").get_to(r.seen_in_seen);
  j.at("unseen_in_unseen").get_to(r.unseen_in_unseen);
  j.at("ausuc").get_to(r.ausuc);
  j.at("ncm").get_to(r.ncm);
  j.at("calibrated").get_to(r.calibrated);
  j.at("curve").get_to(r.curve);
  j.at("class_count").get_to(r.class_count);
  j.at("class_correct").get_to(r.class_correct);
  j.at("confusion").get_to(r.confusion);
  r.loss = floats(j.at("loss"));
  r.batch_accuracy = floats(j.at("batch_accuracy"));
  j.at("checkpoints").get_to(r.checkpoints);
  j.at("samples").get_to(r.samples);
}

}  // namespace holt::transfer
