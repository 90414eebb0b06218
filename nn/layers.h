// Layers with the names and defaults of torch.nn. Images are NHWC.
//
// Layers with weights take the generator that draws them; see nn/init.h for the distributions. With `draw` false weight
// and bias are zeros, for a model that draws them its own way; the generator goes on as if they had been drawn.
#pragma once
#include "core/ops.h"
#include "nn/module.h"

namespace holt::nn {

struct LinearOptions {
  bool bias = true, draw = true;
};

/// y = activation(x·weightᵀ + bias): x [..., in] → [..., out]. weight [out, in].
class Linear : public Cloneable<Linear> {
 public:
  Linear(int64_t in, int64_t out, Generator&, LinearOptions = {});
  Tensor forward(const Tensor& x) override { return linear(x, weight, bias); }
  using Module::operator();
  Tensor operator()(const Tensor& x, Activation a) { return watched(linear(x, weight, bias, a)); }
  Parts parts() override { return {.parameters = {{"weight", &weight}, {"bias", &bias}}}; }
  std::string label() const override;
  int64_t in_features() const { return weight.size(1); }
  int64_t out_features() const { return weight.size(0); }

  Tensor weight, bias;
};

struct ConvOptions {
  int stride = 1, padding = 0;
  bool bias = true;
  int dilation = 1, groups = 1;
  bool draw = true;
};

/// x [N,H,W,in] → [N,OH,OW,out]. weight [out, kernel, kernel, in/groups].
class Conv2d : public Cloneable<Conv2d> {
 public:
  Conv2d(int64_t in, int64_t out, int kernel, Generator&, ConvOptions = {});
  Tensor forward(const Tensor& x) override { return conv2d(x, weight, bias, {stride, padding, dilation, groups}); }
  Parts parts() override { return {.parameters = {{"weight", &weight}, {"bias", &bias}}}; }
  std::string label() const override;

  Tensor weight, bias;
  int stride, padding, dilation, groups;
};

struct BatchNormLayerOptions {
  double momentum = 0.1, eps = 1e-5;
};

/// Batch normalisation over all axes but the last. In training mode it normalises with the batch's statistics and moves
/// the running ones; in evaluation mode it uses the running ones.
class BatchNorm2d : public Cloneable<BatchNorm2d> {
 public:
  enum class Statistics {
    batch,   ///< as above
    frozen,  ///< the running ones in training mode too; they stay as they are
  };
  struct Fused {
    bool relu = false;
    Tensor residual = {};  ///< added before the relu
  };

  explicit BatchNorm2d(int64_t channels, BatchNormLayerOptions = {});
  Tensor forward(const Tensor& x) override { return normalise(x, {}); }
  using Module::operator();
  /// bn(x, {.relu = true, .residual = shortcut}): one kernel.
  Tensor operator()(const Tensor& x, const Fused& fused) { return watched(normalise(x, fused)); }
  /// bn(conv(x), fused). Where the running statistics are used, nothing is trained and no Watch looks: one kernel
  /// (conv2d_batch_norm), for which a residual that is moved in may give its memory.
  Tensor operator()(Conv2d& conv, const Tensor& x, Fused fused);
  /// Forgets the running statistics: mean 0, variance 1.
  void reset_statistics();
  Parts parts() override {
    return {.parameters = {{"weight", &weight}, {"bias", &bias}},
            .buffers = {{"running_mean", &running_mean}, {"running_var", &running_var}}};
  }
  std::string label() const override;

  Tensor weight, bias, running_mean, running_var;
  Statistics statistics = Statistics::batch;
  /// running ← (1 − momentum)·running + momentum·batch. To re-estimate the statistics as a plain average, run batches
  /// k = 0, 1, … in training mode inside NoGrad with momentum 1 / (k + 1).
  double momentum, eps;

 private:
  bool uses_batch() const { return training() && statistics == Statistics::batch; }
  Tensor normalise(const Tensor& x, const Fused&);
};

/// Over the last axis.
class LayerNorm : public Cloneable<LayerNorm> {
 public:
  explicit LayerNorm(int64_t features, double eps = 1e-5);
  Tensor forward(const Tensor& x) override { return layer_norm(x, weight, bias, eps); }
  Parts parts() override { return {.parameters = {{"weight", &weight}, {"bias", &bias}}}; }
  std::string label() const override;

  Tensor weight, bias;
  double eps;
};

class ReLU : public Cloneable<ReLU> {
 public:
  Tensor forward(const Tensor& x) override { return relu(x); }
  Parts parts() override { return {}; }
  std::string label() const override { return "ReLU"; }
};

class GELU : public Cloneable<GELU> {
 public:
  explicit GELU(Gelu k = Gelu::exact) : kind(k) {}
  Tensor forward(const Tensor& x) override { return gelu(x, kind); }
  Parts parts() override { return {}; }
  std::string label() const override { return kind == Gelu::exact ? "GELU" : "GELU(tanh)"; }

  Gelu kind;
};

class Sigmoid : public Cloneable<Sigmoid> {
 public:
  Tensor forward(const Tensor& x) override { return sigmoid(x); }
  Parts parts() override { return {}; }
  std::string label() const override { return "Sigmoid"; }
};

class Tanh : public Cloneable<Tanh> {
 public:
  Tensor forward(const Tensor& x) override { return tanh(x); }
  Parts parts() override { return {}; }
  std::string label() const override { return "Tanh"; }
};

class SiLU : public Cloneable<SiLU> {
 public:
  Tensor forward(const Tensor& x) override { return silu(x); }
  Parts parts() override { return {}; }
  std::string label() const override { return "SiLU"; }
};

class QuickGELU : public Cloneable<QuickGELU> {
 public:
  Tensor forward(const Tensor& x) override { return quick_gelu(x); }
  Parts parts() override { return {}; }
  std::string label() const override { return "QuickGELU"; }
};

/// In training mode zeroes each element with probability p and divides the rest by 1 − p; the identity otherwise.
/// Owns its generator, seeded from the one given, so that clones in other threads do not disturb each other and the
/// state can be saved (Module::random_state).
class Dropout : public Cloneable<Dropout> {
 public:
  Dropout(double p, Generator& seed);
  Tensor forward(const Tensor& x) override { return training() && p > 0 ? dropout(x, p, generator) : x; }
  Parts parts() override { return {.generators = {{"generator", &generator}}}; }
  std::string label() const override;

  double p;
  Generator generator;
};

/// Stochastic depth (Huang et al. 2016): in training mode zeroes the whole x of a sample (first axis) with probability
/// p and divides the rest by 1 − p; the identity otherwise. For the branch of a residual block.
class DropPath : public Cloneable<DropPath> {
 public:
  DropPath() = default;  ///< p = 0: always the identity
  DropPath(double p, Generator& seed);
  Tensor forward(const Tensor& x) override;
  Parts parts() override {
    Parts none;
    if (p > 0) none.generators = {{"generator", &generator}};
    return none;
  }
  std::string label() const override;

  double p = 0;
  Generator generator;
};

class MaxPool2d : public Cloneable<MaxPool2d> {
 public:
  explicit MaxPool2d(int k, int s = 0, int pad = 0) : kernel(k), stride(s ? s : k), padding(pad) {}
  Tensor forward(const Tensor& x) override { return max_pool2d(x, kernel, stride, padding); }
  Parts parts() override { return {}; }
  std::string label() const override;

  int kernel, stride, padding;
};

/// Padding counts as zeros.
class AvgPool2d : public Cloneable<AvgPool2d> {
 public:
  explicit AvgPool2d(int k, int s = 0, int pad = 0) : kernel(k), stride(s ? s : k), padding(pad) {}
  Tensor forward(const Tensor& x) override { return avg_pool2d(x, kernel, stride, padding); }
  Parts parts() override { return {}; }
  std::string label() const override;

  int kernel, stride, padding;
};

/// [N,H,W,C] → [N,C].
class GlobalAvgPool : public Cloneable<GlobalAvgPool> {
 public:
  Tensor forward(const Tensor& x) override { return global_avg_pool(x); }
  Parts parts() override { return {}; }
  std::string label() const override { return "GlobalAvgPool"; }
};

/// [N, ...] → [N, product of the rest].
class Flatten : public Cloneable<Flatten> {
 public:
  Tensor forward(const Tensor& x) override;
  Parts parts() override { return {}; }
  std::string label() const override { return "Flatten"; }
};

}  // namespace holt::nn
