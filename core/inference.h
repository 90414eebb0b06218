// Evaluating a network whose weights stay as they are.
//
//   const Inference scope;       // this thread, until the scope ends; contains a NoGrad
//   model.eval();
//   while (more) use(model(images));
//
// What convolutions on the cpu make of their weights (conv2d_batch_norm: the frozen batch norm multiplied into them, in
// the order, or for Winograd the transform, that the products read) is kept until the weight or the norm changes, or
// the thread's outermost scope ends. Without a scope it is made in each call: with one image a third of ResNet-50's
// time, with sixteen a twentieth. It costs memory: as much as the weights, for 3×3 windows four times that.
//
// A weight that is written to by hand (data<T>()) must be told so by bump_version(), as autograd wants it as well.
#pragma once
#include <span>

#include "core/autograd.h"
#include "kernels/packed.h"

namespace holt {

/// Scopes nest.
class Inference {
 public:
  Inference();
  ~Inference();

 private:
  NoGrad no_grad_;
};

/// For ops: where to keep what is made of the weight w and these factors of its channels; null outside of a scope.
/// Empty where one of them is another than last time.
Packed* kept_form(const Tensor& w, std::span<const float> scale);

}  // namespace holt
