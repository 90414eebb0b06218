#include "transfer/correction.h"

#include "core/ops.h"

namespace holt::transfer {
namespace {

// K ∗ u with one kernel for every channel: channels become images of one channel.
Tensor filter(const Tensor& u, const Tensor& kernel) {
  const int64_t n = u.size(0), h = u.size(1), w = u.size(2), c = u.size(3);
  if (c == 1) return conv2d(u, kernel, {}, {.padding = 2});
  const Tensor planes = permute(u, {0, 3, 1, 2}).reshape({n * c, h, w, 1});
  return permute(conv2d(planes, kernel, {}, {.padding = 2}).reshape({n, c, h, w}), {0, 2, 3, 1});
}

}  // namespace

Correction::Correction(const std::vector<float>& x0)
    : kernel(zeros({1, 5, 5, 1})),
      projection(zeros({8})),
      contrast(zeros({2})),
      background(from(x0, {static_cast<int64_t>(x0.size())})) {
  for (const Tensor* t : {&kernel, &projection, &contrast}) t->requires_grad_();
}

Tensor Correction::forward(const Tensor& x) {
  Tensor u = x - background;
  u = u + filter(u, kernel);
  u = projective_sample(u, projection);
  return (u + background) * (contrast.narrow(0, 1) + 1) + contrast.narrow(1, 1);
}

}  // namespace holt::transfer
