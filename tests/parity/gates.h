// How much of the distance between two precisions is gates: ReLUs whose input is within rounding of zero, which one
// opens and the other closes. A ResNet in f32 is run with every gate as the same network in f64 has it at that step, so
// that only rounding is left.
#pragma once
#include <deque>

#include "core/ops.h"
#include "nn/models/resnet.h"
#include "tests/parity/reference_run.h"

namespace holt::parity {

/// Stands for ReLU, forward after forward: z·[z > 0] in f64, noted; then z·[z₆₄ > 0] in f32.
class Gates {
 public:
  Tensor operator()(const Tensor& z) { return z.dtype() == DType::f64 ? note(z) : hold(z); }
  int64_t all() const { return all_; }
  /// Of those, how many f32 would have set otherwise.
  int64_t differ() const { return differ_; }

 private:
  Tensor note(const Tensor& z) {
    const Tensor mask = empty(z.shape());
    for (int64_t i = 0; i < z.numel(); ++i) mask.data<float>()[i] = z.data<double>()[i] > 0;
    noted_.push_back(mask);
    return z * mask.to(DType::f64);
  }
  Tensor hold(const Tensor& z) {
    check(!noted_.empty(), "gates: f64 goes first");
    const Tensor mask = noted_.front();
    noted_.pop_front();
    all_ += z.numel();
    for (int64_t i = 0; i < z.numel(); ++i) differ_ += (z.data<float>()[i] > 0) != (mask.data<float>()[i] > 0);
    return z * mask;
  }

  std::deque<Tensor> noted_;
  int64_t all_ = 0, differ_ = 0;
};

/// nn/models/resnet.h without drop path and dropout, its ReLUs given.
inline Tensor gated_logits(nn::ResNet& m, const Tensor& x, Gates& relu) {
  Tensor y = m.maxpool(relu(m.bn1(m.conv1(x))));
  for (nn::Sequential& layer : m.layers)
    for (size_t i = 0; i < layer.size(); ++i) {
      auto& b = dynamic_cast<nn::Bottleneck&>(layer[i]);
      const Tensor inner = relu(b.bn2(b.conv2(relu(b.bn1(b.conv1(y))))));
      y = relu(b.bn3(b.conv3(inner)) + b.downsample(y));
    }
  return m.fc(m.pool(y));
}

struct HeldRun {
  nn::State state;  ///< gradients, or with steps the state after them
  std::vector<double> losses;
  int64_t gates, differ;
};

/// f32 with its gates held as f64 has them: the gradients of c (`stepping` null), or the state after the steps, which
/// f64 takes beside it.
inline HeldRun held(const Case& c, const Stepping* stepping) {
  Case wide = c;
  wide.dtype = DType::f64;
  const auto exact = make(wide), single = make(c);
  Gates gates;
  std::vector<double> losses;
  const auto backward = [&](nn::Model& model, const Case& its, int step) {
    const Tensor loss = cross_entropy(gated_logits(dynamic_cast<nn::ResNet&>(model), images(its, step), gates),
                                      counter_labels(step, c.batch, c.classes));
    loss.backward();
    return loss.item();
  };
  nn::State state;
  if (!stepping) {
    backward(*exact, wide, 0);
    losses.push_back(backward(*single, c, 0));
    for (const auto& [name, t] : single->named_parameters()) state[name] = t.grad();
  } else {
    ExactOptimizer exactly(exact->named_parameters(), *stepping);
    const auto optimizer = make_optimizer(*single, *stepping);
    for (int step = 0; step < stepping->steps; ++step) {
      backward(*exact, wide, step);
      exactly.step();
      exactly.zero_grad();
      losses.push_back(backward(*single, c, step));
      optimizer->step();
      optimizer->zero_grad();
    }
    state = nn::clone(single->state());
  }
  return {std::move(state), std::move(losses), gates.all(), gates.differ()};
}

}  // namespace holt::parity
