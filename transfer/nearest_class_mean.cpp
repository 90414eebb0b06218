#include "transfer/nearest_class_mean.h"

#include <cmath>
#include <limits>

#include "kernels/parallel.h"
#include "transfer/metrics.h"

namespace holt::transfer {
namespace {

void check_features(const char* what, const Features& f, int64_t classes) {
  check(f.width > 0 && std::ssize(f.values) == f.size() * f.width,
        "nearest_class_mean: {} {} images with {} features each need {} values, got {}", f.size(), what, f.width,
        f.size() * f.width, f.values.size());
  for (int64_t i = 0; i < f.size(); ++i)
    check(f.labels[i] >= 0 && f.labels[i] < classes, "nearest_class_mean: label {} of {} image {} is outside 0 … {}",
          f.labels[i], what, i, classes - 1);
}

// A class that can win, and the unit vector along its mean.
struct Direction {
  int64_t label;
  std::vector<double> unit;
};

std::vector<Direction> directions(const Features& f, int64_t classes) {
  std::vector<std::vector<double>> sums(static_cast<size_t>(classes));
  for (int64_t i = 0; i < f.size(); ++i) {
    std::vector<double>& sum = sums[f.labels[i]];
    sum.resize(static_cast<size_t>(f.width));
    for (int64_t d = 0; d < f.width; ++d) sum[d] += f.values[i * f.width + d];
  }
  std::vector<Direction> result;
  for (int64_t c = 0; c < classes; ++c) {  // the sum points where the mean does
    double square = 0;
    for (const double x : sums[c]) square += x * x;
    if (!(square > 0) || !std::isfinite(square)) continue;
    for (double& x : sums[c]) x /= std::sqrt(square);
    result.push_back({c, std::move(sums[c])});
  }
  return result;
}

// φ(x)'s own norm does not change which cosine is largest.
int64_t nearest_mean(const float* x, const std::vector<Direction>& means) {
  double best = -std::numeric_limits<double>::infinity();
  int64_t label = -1;
  for (const Direction& m : means) {
    const double* unit = m.unit.data();
    const auto width = static_cast<int64_t>(m.unit.size());
    double dot = 0;
#pragma omp simd reduction(+ : dot)
    for (int64_t d = 0; d < width; ++d) dot += x[d] * unit[d];
    if (dot > best) best = dot, label = m.label;
  }
  return label;
}

}  // namespace

void Features::add(const Tensor& batch, const Tensor& batch_labels) {
  check(batch.rank() == 2 && batch_labels.shape() == Shape{batch.size(0)},
        "features: expected features [n, D] and labels [n], got {} and {}", batch, batch_labels);
  check(labels.empty() || batch.size(1) == width, "features: expected {} of them as before, got {}", width, batch);
  width = batch.size(1);
  const std::vector<float> x = batch.to_vector<float>();
  const std::vector<int64_t> y = batch_labels.to_vector<int64_t>();
  values.insert(values.end(), x.begin(), x.end());
  labels.insert(labels.end(), y.begin(), y.end());
}

NcmResult nearest_class_mean(const Features& training, const Features& test, const Seen& seen) {
  const auto classes = std::ssize(seen);
  check_features("training", training, classes);
  check(training.size() > 0, "nearest_class_mean: there are no training images");
  check(test.width == training.width, "nearest_class_mean: {} training features, but {} test features", training.width,
        test.width);
  check_features("test", test, classes);
  const std::vector<Direction> means = directions(training, classes);
  std::vector<int64_t> predicted(test.labels.size());
  parallel_for(test.size(), std::ssize(means) * test.width / 8, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) predicted[i] = nearest_mean(test.values.data() + i * test.width, means);
  });

  NcmResult r;
  r.class_samples.resize(seen.size());
  r.class_correct.resize(seen.size());
  int64_t right[2] = {}, samples[2] = {};  // [1]: seen
  for (int64_t i = 0; i < test.size(); ++i) {
    const int64_t label = test.labels[i];
    const bool correct = predicted[i] == label;
    ++r.class_samples[label];
    r.class_correct[label] += correct;
    ++samples[seen[label]];
    right[seen[label]] += correct;
  }
  r.overall = fraction(right[0] + right[1], samples[0] + samples[1]);
  r.unseen = fraction(right[0], samples[0]);
  r.seen = fraction(right[1], samples[1]);
  return r;
}

}  // namespace holt::transfer
