#include "data/dataset.h"

namespace holt::data {

void validate(const Dataset& d) {
  check(d.images && d.labels, "{}: a data set needs images and labels", d.name);
  check(d.images.rank() == 4 && (d.images.dtype() == DType::u8 || d.images.dtype() == DType::f32),
        "{}: images must be u8 or f32 [N, H, W, C], got {}", d.name, d.images);
  check(d.labels.rank() == 1 && d.labels.dtype() == DType::i64, "{}: labels must be i64 [N], got {}", d.name, d.labels);
  check(d.images.device() == Device{} && d.labels.device() == Device{},
        "{}: a data set lives on cpu, got images {} and labels {}", d.name, d.images, d.labels);
  check(d.images.size(0) == d.labels.size(0), "{}: {} images, but {} labels", d.name, d.images.size(0),
        d.labels.size(0));
  const int64_t* labels = d.labels.data<int64_t>();
  for (int64_t i = 0; i < d.size(); ++i)
    check(labels[i] >= 0 && labels[i] < d.num_classes(), "{}: label {} of sample {} is outside 0 … {}", d.name,
          labels[i], i, d.num_classes() - 1);
}

Dataset first(const Dataset& d, int64_t count) {
  check(count > 0, "{}: cannot take the first {} samples; at least 1 is needed", d.name, count);
  if (count >= d.size()) return d;
  return {d.name, d.images.narrow(0, count), d.labels.narrow(0, count), d.classes};
}

}  // namespace holt::data
