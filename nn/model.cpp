#include "nn/model.h"

namespace holt::nn {

std::string to_string(const ModelConfig& c) {
  std::string text = format("{}(classes {}, input {}×{}×{}", c.name, c.classes, c.height, c.width, c.channels);
  for (auto& [key, value] : c.options)
    if (!value.empty()) text += format(", {} {}", key, value);
  return text + ")";
}

Model::Model(ModelConfig config) : config_(std::move(config)) {
  const ModelConfig& c = config_;
  check(c.classes > 0 && c.channels > 0 && c.height > 0 && c.width > 0,
        "{}: classes and the input's sizes must be positive, got {} classes and {}×{}×{} images", c.name, c.classes,
        c.height, c.width, c.channels);
}

void Model::replace_classifier(Linear head) {
  Linear& own = classifier();
  check(head.in_features() == own.in_features() && head.bias,
        "{}: a classifier must take {} features and have a bias, got {}", config_.name, own.in_features(),
        head.label());
  head.train(own.training());
  head.to(own.weight.device());
  config_.classes = head.out_features();
  own = std::move(head);
}

void Model::replace_classifier(int64_t classes, Generator& g) {
  replace_classifier(drawn_classifier(classifier().in_features(), classes, g));
}

void Model::check_images(const Tensor& x) const {
  const ModelConfig& c = config_;
  check(x.rank() == 4 && x.size(1) == c.height && x.size(2) == c.width && x.size(3) == c.channels,
        "{}: images must be [N, {}, {}, {}], got {}", c.name, c.height, c.width, c.channels, x);
}

}  // namespace holt::nn
