#include "apps/holt/bench/op_profile.h"

#include <algorithm>

namespace holt::app {
namespace {

double bytes(const Tensor& t) { return t ? static_cast<double>(t.bytes()) : 0; }
double count(const Tensor& t) { return t ? static_cast<double>(t.numel()) : 0; }

bool is_product(const std::string& op) { return op == "conv2d" || op == "linear" || op == "matmul"; }

// " 3×3" of a convolution's weight: kernel sizes differ in speed.
std::string kernel_of(const std::string& op, const Tensor& w) {
  return op.starts_with("conv2d") && w ? format(" {}×{}", w.size(1), w.size(2)) : "";
}

// Length of the sums that a weight [out, …] makes.
double sum_length(const Tensor& w) { return w.size(0) ? count(w) / static_cast<double>(w.size(0)) : 0; }

// softmax(q·kᵀ)·v of [B, T, H, D] (or [B, T, 3, H, D] together): two products of 2·B·H·T²·D flops.
double attention_flops(const Tensor& o, const Tensor& keys) { return 4 * count(o) * static_cast<double>(keys.size(1)); }

}  // namespace

OpProfile::OpProfile(Stopwatch watch)
    : watch_(watch),
      forward_hook_(
          [this](const char* op, const std::vector<Tensor>& inputs, const Tensor& y) { forward(op, inputs, y); }),
      backward_hook_([this](const char* op, const Tensor& dy, const Grads& grads) { backward(op, dy, grads); }) {}

void OpProfile::start() { watch_.lap(); }

void OpProfile::event(const std::string& name, Work work) {
  Line& line = lines_[name];
  line.seconds += watch_.lap();
  line.work.bytes += work.bytes;
  line.work.flops += work.flops;
  ++line.calls;
}

void OpProfile::forward(const std::string& op, const std::vector<Tensor>& inputs, const Tensor& y) {
  Work w{.bytes = bytes(y)};
  for (const Tensor& x : inputs) w.bytes += bytes(x);
  if (op == "reshape" || op == "narrow") w.bytes = 0;  // views
  if (op == "batch_norm" && grad_enabled()) w.bytes += bytes(inputs[0]);
  if (op.starts_with("conv2d") || op == "linear") w.flops = 2 * count(y) * sum_length(inputs[1]);
  if (op == "matmul") w.flops = 2 * count(inputs[0]) * static_cast<double>(y.size(-1));
  if (op == "attention") w.flops = attention_flops(y, inputs.back());
  event(op + (inputs.size() > 1 ? kernel_of(op, inputs[1]) : "") + ", forward", w);
}

void OpProfile::backward(const std::string& op, const Tensor& dy, const Grads& grads) {
  Work w{.bytes = bytes(dy)};
  for (const Tensor& g : grads) w.bytes += bytes(g);
  if (op == "reshape" || op == "narrow") w.bytes = 0;
  if (is_product(op)) {
    // Each gradient is a product of dy with the other operand, which is as large as that one's gradient.
    w.bytes = 0;
    for (size_t i = 0; i < 2; ++i)
      if (grads[i]) w.bytes += bytes(dy) + bytes(grads[i]) + bytes(grads[1 - i]);
    const double sums = op == "matmul" ? (grads[0] ? static_cast<double>(grads[0].size(-1)) : 0)
                        : grads[1]     ? sum_length(grads[1])
                                       : 0;
    w.flops = 2 * count(dy) * sums * ((grads[0] ? 1 : 0) + (grads[1] ? 1 : 0));
  }
  // The scores are computed anew, then four products; o and the inputs are read too.
  if (op == "attention") {
    w.flops = 2.5 * attention_flops(dy, grads.back());
    for (const Tensor& g : grads) w.bytes += bytes(g);
    w.bytes += bytes(dy);
  }
  if (op == "batch_norm") w.bytes += 3 * bytes(dy) + (grads[3] ? bytes(dy) : 0);  // x twice, dy again; y for the mask
  if (op == "layer_norm" || op == "add_layer_norm") w.bytes += bytes(dy);         // x
  event(op + (grads.size() > 1 ? kernel_of(op, grads[1]) : "") + ", backward", w);
}

std::vector<std::pair<std::string, OpProfile::Line>> OpProfile::lines() const {
  std::vector<std::pair<std::string, Line>> all(lines_.begin(), lines_.end());
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.second.seconds > b.second.seconds; });
  return all;
}

}  // namespace holt::app
