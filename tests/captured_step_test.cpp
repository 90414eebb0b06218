// A recorded training step replays the bits of the step that is not recorded, and whatever a recording may not do is an
// Error that says so, after which the device is usable. On cpu and simt the same code runs step by step.
#include "nn/captured_step.h"

#include <gtest/gtest.h>

#include "core/ops.h"
#include "kernels/memory.h"
#include "kernels/stream.h"
#include "nn/grad_scaler.h"
#include "nn/layers.h"
#include "nn/schedule.h"
#include "nn/sequential.h"
#include "tests/harness/expect_error.h"

#if defined(HOLT_CUDART_DOUBLE)
#include "tests/doubles/cudart/double.h"
#endif

namespace holt::nn {
namespace {

constexpr int kSteps = 10, kBatch = 4;

std::vector<Device> devices() {
  std::vector<Device> d{Device::cpu, Device::simt};
  if (cuda_device_count() > 0) d.push_back(Device::cuda);
  return d;
}

Sequential network(Device d) {
  Generator g(11);
  Sequential m(Conv2d(1, 4, 3, g, {.stride = 2, .padding = 1, .bias = false}), BatchNorm2d(4), ReLU(), Flatten(),
               Dropout(0.3, g), Linear(4 * 3 * 3, 5, g), Dropout(0.1, g));
  m.to(d);
  return m;
}

std::vector<Tensor> batch(int t) {
  Generator g(static_cast<uint64_t>(100 + t));
  std::vector<int64_t> y(kBatch);
  for (int i = 0; i < kBatch; ++i) y[static_cast<size_t>(i)] = (t + i) % 5;
  return {normal({kBatch, 6, 6, 1}, 0, 1, g), from(y, Shape{kBatch})};
}

double factor(int t) { return schedule::cosine(t, {.total = kSteps, .warmup = 4}); }

struct Run {
  std::vector<double> losses;
  std::map<std::string, std::vector<float>> state;
  int64_t steps = 0;
  friend bool operator==(const Run&, const Run&) = default;
};

Run result(std::vector<double> losses, Sequential& m, Optimizer& o) {
  Run r{std::move(losses), {}, o.steps()};
  for (const auto& [name, t] : m.state()) r.state[name] = t.to_vector<float>();
  for (const auto& [name, t] : o.state())
    if (t.dtype() == DType::f32) r.state[name] = t.to_vector<float>();
  return r;
}

template <class Make>
Run step_by_step(Device d, const Make& make, bool scaled) {
  Sequential m = network(d);
  auto o = make(m);
  if (scaled) o.use(GradScaler(d));
  std::vector<double> losses;
  for (int t = 0; t < kSteps; ++t) {
    const auto in = batch(t);
    const Tensor loss = cross_entropy(m(in[0].to(d)), in[1].to(d));
    o.scaled(loss).backward();
    o.step(factor(t), {.max_norm = 2});
    o.zero_grad();
    losses.push_back(loss.item());
  }
  return result(std::move(losses), m, o);
}

template <class Make>
Run captured(Device d, const Make& make, bool scaled) {
  Sequential m = network(d);
  auto o = make(m);
  if (scaled) o.use(GradScaler(d));
  CapturedStep step(d, o, [&](const std::vector<Tensor>& in) { return cross_entropy(m(in[0]), in[1]); },
                    {.max_norm = 2});
  std::vector<double> losses;
  std::vector<Tensor> kept;  // results may be kept: replays do not overwrite them
  for (int t = 0; t < kSteps; ++t) {
    EXPECT_EQ(step.recorded(), d.kind == Device::cuda && t >= 3);
    kept.push_back(step.run(batch(t), factor(t)));
  }
  for (const Tensor& loss : kept) losses.push_back(loss.item());
  return result(std::move(losses), m, o);
}

const auto sgd = [](Sequential& m) {
  return SGD(m.named_parameters(), {.lr = 0.1, .momentum = 0.9, .nesterov = true, .weight_decay = 1e-3});
};
const auto adamw = [](Sequential& m) { return AdamW(m.named_parameters(), {.lr = 0.01}); };

TEST(CapturedStep, HasTheBitsOfStepByStep) {
  for (Device d : devices()) {
    EXPECT_EQ(captured(d, adamw, false), step_by_step(d, adamw, false)) << to_string(d);
    EXPECT_EQ(captured(d, sgd, false), step_by_step(d, sgd, false)) << to_string(d);
    EXPECT_EQ(captured(d, adamw, true), step_by_step(d, adamw, true)) << to_string(d);
  }
}

TEST(CapturedStep, InputsOfOtherShapesAreErrors) {
  for (Device d : devices()) {
    Sequential m = network(d);
    auto o = sgd(m);
    CapturedStep step(d, o, [&](const std::vector<Tensor>& in) { return cross_entropy(m(in[0]), in[1]); });
    auto in = batch(0);
    step.run(in);
    EXPECT_ERROR(step.run({in[0]}), "captured step: expected 2 inputs as in the first step, got 1");
    EXPECT_ERROR(step.run({in[0].narrow(0, 3), in[1]}), "captured step: input 0 must be f32 [4, 6, 6, 1]");
    EXPECT_ERROR(step.run({in[1], in[1]}), "captured step: input 0 must be f32 [4, 6, 6, 1]");
    EXPECT_ERROR(step.run({in[0], Tensor{}}), "captured step: an input is undefined");
    step.run(in);
    EXPECT_EQ(o.steps(), 2);
  }
}

// What goes wrong in the third run, while the graph is recorded.
class RecordingFails : public testing::Test {
 protected:
  void SetUp() override {
    if (cuda_device_count() == 0) GTEST_SKIP() << cuda_missing_reason();
  }
  // Runs `fault` within the third step; then the same network must go on as if that step had not been.
  static void fault_says(const std::function<void(const Tensor& loss)>& fault, const char* text) {
    const Device d = Device::cuda;
    Sequential m = network(d);
    auto o = adamw(m);
    int calls = 0;
    CapturedStep step(d, o, [&](const std::vector<Tensor>& in) {
      const Tensor loss = cross_entropy(m(in[0]), in[1]);
      if (++calls == 3) fault(loss);
      return loss;
    });
    step.run(batch(0), 1);
    step.run(batch(1), 1);
    EXPECT_ERROR(step.run(batch(2), 1), text);
    EXPECT_EQ(o.steps(), 2);
    EXPECT_EQ(full({3}, 2.0, DType::f32, d).to_vector<float>()[1], 2) << "the stream is usable";
    for (int t = 0; t < 5; ++t) EXPECT_TRUE(std::isfinite(step.run(batch(t), 1).item()));
    EXPECT_TRUE(step.recorded());
    EXPECT_EQ(o.steps(), 7);
  }
};

TEST_F(RecordingFails, WhenTheHostReads) {
  fault_says([](const Tensor& loss) { loss.item(); }, "graph: the host reads from the GPU (item(), to_vector()");
}
TEST_F(RecordingFails, WhenTheHostWaits) {
  fault_says([](const Tensor&) { synchronize(Device::cuda); }, "graph: synchronize() while a graph is recorded");
  fault_says([](const Tensor&) { Event(Device::cuda).record(); }, "graph: an Event is recorded");
  fault_says([](const Tensor&) { release_cached(Device::cuda); }, "graph: release_cached while");
}
TEST_F(RecordingFails, WhenTheHostUploads) {
  fault_says(
      [](const Tensor&) {
        from(std::vector<float>{1, 2}, Shape{2}).to(Device::cuda);
      },
      "graph: the host uploads from its own memory while a graph is recorded");
}
TEST_F(RecordingFails, WhenMoreMemoryIsTaken) {
  fault_says([](const Tensor&) { empty({12345}, DType::f32, Device::cuda); },
             "48.22 KiB are taken on cuda:0 that the run before did not take, while a graph is recorded");
}
TEST_F(RecordingFails, WhenItThrowsItself) {
  fault_says([](const Tensor&) { fail("my own fault"); }, "my own fault");
}
TEST_F(RecordingFails, WhenAGraphIsInsideAGraph) {
  fault_says([](const Tensor&) { Graph(Device::cuda).run([] {}); }, "graph: a graph may not be run inside");
}

#if defined(HOLT_CUDART_DOUBLE)
TEST_F(RecordingFails, WhenItIsForAnotherGpu) {
  fault_says([](const Tensor&) { full({3}, 1.0, DType::f32, {Device::cuda, 1}); }, "a graph is of one GPU");
}

// Nothing of a graph is left when it is gone, and what it gave out may outlive it.
TEST(Graph, GivesItsMemoryBack) {
  const auto drained = [] {
    synchronize(Device::cuda);
    return std::pair(holt_double_live_allocations(), holt_double_live_handles());
  };
  const auto before = drained();
  {
    Tensor outlives;
    {
      Graph graph(Device::cuda);
      Tensor y;
      for (int i = 0; i < 5; ++i)
        graph.run([&] {
          y = {};
          const Tensor x = full({100}, 3.0, DType::f32, Device::cuda);
          y = x * x;
        });
      EXPECT_TRUE(graph.recorded());
      outlives = y;
    }
    EXPECT_EQ(outlives.to_vector<float>()[99], 9);
  }
  EXPECT_EQ(drained(), before);
}
#endif

}  // namespace
}  // namespace holt::nn
