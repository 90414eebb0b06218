// holt_bench_precision: a training step in f32, bf16 and f16, beside each other. For each network and precision the
// fastest of the repeats (another job on the machine only ever makes one slower); the precisions take turns, so that a
// slow minute hits them all.
//
// Usage: holt_bench_precision [repeats] [device]
#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <limits>

#include "core/autocast.h"
#include "kernels/build_info.h"
#include "nn/layers.h"
#include "nn/models/registry.h"
#include "nn/optim.h"
#include "nn/sequential.h"

namespace holt::bench {
namespace {

using Clock = std::chrono::steady_clock;

struct Network {
  std::string name;
  std::unique_ptr<nn::Module> module;
  Shape input;
  int64_t classes;
};

// Four 3×3 convolutions of `channels`, each with batch norm and ReLU, at 56².
Network stack(int64_t channels, int64_t n, Generator& g) {
  auto net = std::make_unique<nn::Sequential>();
  for (int i = 0; i < 4; ++i)
    net->append(nn::Conv2d(channels, channels, 3, g, {.padding = 1, .bias = false}))
        .append(nn::BatchNorm2d(channels))
        .append(nn::ReLU());
  net->append(nn::GlobalAvgPool()).append(nn::Linear(channels, 10, g));
  return {fmt::format("4 × (3×3, {} → {}, batch norm, ReLU) at 56², batch {}", channels, channels, n),
          std::move(net),
          {n, 56, 56, channels},
          10};
}

Network resnet8(int64_t n, Generator& g) {
  nn::ModelConfig c = nn::parse_model("resnet8");
  c.classes = 10, c.height = c.width = 28, c.channels = 1;
  return {fmt::format("resnet8 at 28², batch {}", n), nn::make_model(c, g), {n, 28, 28, 1}, 10};
}

// Seconds of one step: forward, backward, optimiser, on one batch.
class Stepper {
 public:
  Stepper(const Network& network, DType precision, Device device)
      : precision_(precision), net_(nn::clone(*network.module)) {
    net_->to(device);
    sgd_ = std::make_unique<nn::SGD>(net_->named_parameters(), nn::SGDOptions{.lr = 1e-4, .momentum = 0.9});
    if (precision == DType::f16) sgd_->use(nn::GradScaler(device));
    Generator g(1);
    images_ = normal(network.input, 0, 1, g, DType::f32, device);
    std::vector<int64_t> labels(static_cast<size_t>(network.input[0]));
    for (size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<int64_t>(i) % network.classes;
    labels_ = from(labels, Shape{network.input[0]}).to(device);
  }
  double step() {
    const auto begin = Clock::now();
    {
      const Autocast scope(precision_);
      net_->zero_grad();
      const Tensor loss = cross_entropy((*net_)(images_), labels_);
      sgd_->scaled(loss).backward();
      sgd_->step();
      loss.item();
    }
    return std::chrono::duration<double>(Clock::now() - begin).count();
  }

 private:
  DType precision_;
  std::unique_ptr<nn::Module> net_;
  std::unique_ptr<nn::SGD> sgd_;
  Tensor images_, labels_;
};

int run(int repeats, Device device) {
  fmt::print("holt {}, {}, fastest of {}\n\n", build_info().commit, to_string(device), repeats);
  fmt::print("| network | f32 | bf16 | f16 | f32 / bf16 | f32 / f16 |\n|---|---|---|---|---|---|\n");
  Generator g(1);
  const DType precisions[] = {DType::f32, DType::bf16, DType::f16};
  const auto measure = [&](const Network& network) {
    std::vector<Stepper> steppers;
    for (DType p : precisions) steppers.emplace_back(network, p, device);
    double best[3];
    for (int i = 0; i < 3; ++i) best[i] = (steppers[i].step(), steppers[i].step());
    for (int r = 0; r < repeats; ++r)
      for (int i = 0; i < 3; ++i) best[i] = std::min(best[i], steppers[i].step());
    fmt::print("| {} | {:.1f} ms | {:.1f} ms | {:.1f} ms | {:.2f} | {:.2f} |\n", network.name, 1e3 * best[0],
               1e3 * best[1], 1e3 * best[2], best[0] / best[1], best[0] / best[2]);
    std::fflush(stdout);
  };
  measure(resnet8(128, g));
  for (const int64_t channels : {64, 128, 256}) measure(stack(channels, 8, g));
  return 0;
}

}  // namespace
}  // namespace holt::bench

int main(int argc, char** argv) {
  try {
    return holt::bench::run(argc > 1 ? std::max(1, std::atoi(argv[1])) : 20,
                            holt::parse_device(argc > 2 ? argv[2] : "cpu"));
  } catch (const holt::Error& e) {
    std::fputs(e.what(), stderr);
    return 1;
  }
}
