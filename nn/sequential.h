// Layers one after the other.
#pragma once
#include "nn/module.h"

namespace holt::nn {

/// Sequential(Conv2d(1, 16, 3, rng), ReLU(), …): children are named "0", "1", …; an empty one is the identity.
class Sequential : public Cloneable<Sequential> {
 public:
  Sequential() = default;
  template <class First, class... Rest>
  requires(std::is_base_of_v<Module, First> && !std::is_same_v<First, Sequential> &&
           (std::is_base_of_v<Module, Rest> && ...)) explicit Sequential(First first, Rest... rest) {
    append(std::move(first));
    (append(std::move(rest)), ...);
  }
  Sequential(const Sequential& other);
  Sequential(Sequential&&) = default;
  Sequential& operator=(Sequential other);

  template <class M>
  Sequential& append(M layer) {
    layers_.push_back(std::make_unique<M>(std::move(layer)));
    return *this;
  }
  size_t size() const { return layers_.size(); }
  Module& operator[](size_t i);

  Tensor forward(const Tensor& x) override { return consume(Tensor(x)); }
  Tensor consume(Tensor&& x) override;
  Parts parts() override;
  std::string label() const override { return "Sequential"; }

 private:
  std::vector<std::unique_ptr<Module>> layers_;
};

}  // namespace holt::nn
