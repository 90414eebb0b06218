#include "nn/train_loop.h"

#include <cmath>

namespace holt::nn {

void Scores::add(const Tensor& logits, const Tensor& labels, double mean_loss) {
  check(logits.rank() == 2 && labels.shape() == Shape{logits.size(0)},
        "scores: expected logits [N, C] and labels [N], got {} and {}", logits, labels);
  const int64_t n = logits.size(0), classes = logits.size(1);
  const std::vector<float> x = logits.to_vector<float>();
  const std::vector<int64_t> y = labels.to_vector<int64_t>();
  class_samples.resize(classes);
  class_correct.resize(classes);
  for (int64_t i = 0; i < n; ++i) {
    const float* row = x.data() + i * classes;
    check(y[i] >= 0 && y[i] < classes, "scores: label {} of row {} is outside 0 … {}", y[i], i, classes - 1);
    const float mine = row[y[i]];
    bool right = true;
    for (int64_t c = 0; c < classes; ++c) right = right && (c < y[i] ? mine > row[c] : mine >= row[c]);
    correct += right;
    class_correct[y[i]] += right;
    ++class_samples[y[i]];
  }
  samples += n;
  loss_sum += mean_loss * static_cast<double>(n);
}

}  // namespace holt::nn
