// Results as a study leaves them, from made-up logits: every number of a Result belongs to the others.
#pragma once
#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "data/png.h"
#include "kernels/error.h"
#include "transfer/calibration.h"
#include "transfer/metrics.h"
#include "transfer/report.h"

namespace holt::test {

/// How a made-up method behaves: the logit that the true class gains, seen and unseen, and what every seen class gains.
struct MadeMethod {
  std::string name;
  double seen, unseen, bias, seconds;
};

/// Twenty-one, about as far apart as the real ones.
inline std::vector<MadeMethod> made_methods() {
  return {{"source", 2.6, 2.6, 0, 0},
          {"bn-stats", 2.8, 2.8, 0, 0.2},
          {"linear-probe", 3.4, 2.6, 1.2, 1.1},
          {"lp-ft", 5.6, 3.6, 2.6, 3.2},
          {"sgd", 6.0, 3.9, 2.9, 2.2},
          {"l2sp", 5.2, 3.8, 1.9, 2.6},
          {"wise", 4.4, 3.5, 1.2, 2.2},
          {"lwf", 5.3, 3.8, 2.3, 3.1},
          {"frozen-bn", 4.6, 3.5, 1.7, 2.0},
          {"frozen-classifier", 6.0, 3.9, 2.6, 2.1},
          {"sgd-restart", 5.2, 3.8, 2.0, 2.2},
          {"local-sgd", 5.2, 3.8, 2.0, 8.8},
          {"lolsgd", 5.5, 3.9, 2.05, 8.9},
          {"frozen-classifier+lolsgd", 5.5, 3.95, 2.0, 8.7},
          {"frozen-classifier+lolsgd+distill", 5.3, 3.95, 1.9, 11.6},
          {"frozen-classifier+lolsgd+distill+rank", 5.1, 3.95, 1.75, 12.9},
          {"seen-softmax", 4.9, 3.9, 1.5, 2.3},
          {"seen-softmax+align", 5.2, 4.2, 1.6, 4.6},
          {"seen-softmax+gate", 4.8, 3.9, 1.2, 2.5},
          {"holt", 5.2, 4.3, 1.0, 4.9},
          {"oracle", 5.6, 5.6, 0, 3.0}};
}

/// One job. `images` of each class; which classes are seen depends on (target, seed).
inline transfer::Result made_result(const MadeMethod& method, const std::string& target, uint64_t seed,
                                    const std::vector<std::string>& classes, int64_t images) {
  using namespace transfer;
  const int64_t n = std::ssize(classes);
  std::seed_seq split_words{uint64_t{1}, std::hash<std::string>()(target) & 0xffff, seed};
  std::mt19937 split_random(split_words);
  std::vector<int64_t> all(static_cast<size_t>(n));
  for (int64_t c = 0; c < n; ++c) all[static_cast<size_t>(c)] = c;
  std::shuffle(all.begin(), all.end(), split_random);
  all.resize(static_cast<size_t>(std::max<int64_t>(1, n / 2)));
  std::sort(all.begin(), all.end());

  transfer::Result r;
  r.id = format("{}/{}/{}", method.name, target, seed);
  r.data = "glyphs";
  r.source = "text fonts";
  r.target = target;
  r.method = method.name;
  r.classes = classes;
  r.seed = seed;
  r.split = {format("random:{}", all.size()), all};
  r.source_id = "5f1e9c0a";
  r.commit = "0123456789ab";
  r.device = "cpu";
  if (method.name == "holt") r.options.tau = 0.5;

  std::seed_seq words{uint64_t{2}, std::hash<std::string>()(r.id) & 0xffffffff};
  std::mt19937 random(words);
  std::normal_distribution<double> normal;
  const Seen seen = r.split.mask(n);
  const double hard = 0.35 * normal(split_random);  // some targets are harder, for every method
  Predictions p;
  p.classes = n;
  for (int64_t label = 0; label < n; ++label)
    for (int64_t i = 0; i < images; ++i) {
      p.labels.push_back(label);
      for (int64_t c = 0; c < n; ++c) {
        double z = normal(random) + (seen[static_cast<size_t>(c)] ? method.bias : 0);
        const double gain = (seen[static_cast<size_t>(label)] ? method.seen : method.unseen) + hard;
        if (c == label) z += gain;
        if (c == (label ^ 1) && label % 5 == 0) z += 0.7 * gain;  // pairs that look alike
        p.logits.push_back(static_cast<float>(z));
      }
    }
  const Metrics m = measure(p, seen);
  r.plain = {0, m.overall, m.seen, m.unseen, m.hmean};
  r.seen_in_seen = m.seen_in_seen;
  r.unseen_in_unseen = m.unseen_in_unseen;
  const std::vector<CurvePoint> curve = seen_unseen_curve(p, seen);
  r.ausuc = ausuc(curve);
  for (const CurvePoint& point : thin(curve, 100)) r.curve.push_back({point.seen, point.unseen});
  for (const char* name : {"alg", "best"}) {
    const double gamma = best_gamma(p, seen) * (std::string(name) == "alg" ? 0.7 : 1);
    const Metrics c = measure(p, seen, gamma);
    r.calibrated[name] = {gamma, c.overall, c.seen, c.unseen, c.hmean};
  }
  r.ncm = {0, 0.96, 0.97, 0.95, 0.96};
  r.class_count = m.class_samples;
  r.class_correct = m.class_correct;
  const std::vector<int64_t> counts = confusion(p, seen);
  for (int64_t k = 0; k < n * n; ++k)
    if (counts[static_cast<size_t>(k)]) r.confusion.push_back({k / n, k % n, counts[static_cast<size_t>(k)]});
  if (method.seconds > 1) {
    for (int i = 0; i < 100; ++i)
      r.loss.push_back(static_cast<float>(0.15 + 1.6 * std::exp(-i / 18.0) * std::exp(0.2 * normal(random))));
    for (int i = 1; i <= 5; ++i) {
      const double done = 1 - std::exp(-i / 1.5);
      r.checkpoints.push_back({20 * i, 0.55 + (m.seen - 0.55) * done, 0.53 + (m.unseen - 0.53) * done});
    }
  }
  const std::vector<Duel> choices = duels(p, seen);
  for (int64_t k = 0; k < 24; ++k) {
    const int64_t position = k * 7 % p.size();
    r.samples.push_back({position, p.labels[static_cast<size_t>(position)],
                         choices[static_cast<size_t>(position)].winner(0), 0.5 + 0.02 * static_cast<double>(k % 25)});
  }
  r.seconds = method.seconds * (1 + 0.05 * std::abs(normal(random)));
  return r;
}

/// A pattern that differs by class, as a PNG.
inline std::string made_picture(int64_t label, int64_t shift) {
  data::Image image{28, 28, 1, std::vector<uint8_t>(28 * 28)};
  for (int64_t y = 4; y < 24; ++y)
    for (int64_t x = 4; x < 24; ++x) {
      const bool ink = ((x + shift) / 4 + (y / 4) * (label % 7 + 1)) % (2 + label % 3) == 0;
      image.pixels[static_cast<size_t>(28 * y + x)] = ink ? 235 : 20;
    }
  return data::encode_png(image);
}

/// A whole study with its pictures.
inline transfer::ReportInput made_study(const std::vector<MadeMethod>& methods, const std::vector<std::string>& targets,
                                        int64_t seeds, const std::vector<std::string>& classes, int64_t images) {
  transfer::ReportInput input;
  for (const std::string& target : targets)
    for (int64_t seed = 0; seed < seeds; ++seed)
      for (const MadeMethod& m : methods)
        input.results.push_back(made_result(m, target, static_cast<uint64_t>(seed), classes, images));
  for (int64_t k = 0; k < 12; ++k) {
    const int64_t label = k * 5 % std::ssize(classes);
    input.pictures.push_back({made_picture(label, 0), "text fonts", k, label, format("font {}", k)});
  }
  for (const std::string& target : targets)
    for (const transfer::Sample& s : input.results.front().samples)
      input.pictures.push_back({made_picture(s.label, s.position % 3), target, s.position, s.label, ""});
  input.command = "./run transfer --data glyphs --target all --methods all --seeds 1";
  input.date = "2026-01-31 12:00 UTC";
  return input;
}

}  // namespace holt::test
