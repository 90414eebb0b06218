// holt against PyTorch: tests/golden/parity.json holds what PyTorch computes in double precision of weights and images
// that both sides make from a counter (tests/parity/counter.py), and how far PyTorch's own float32 is from that. holt
// may be four times as far: the sums' order differs, their precision does not.
#include <gtest/gtest.h>

#include "data/image.h"
#include "data/loader.h"
#include "kernels/file.h"
#include "tests/harness/json.h"
#include "tests/parity/reference_run.h"

namespace holt::parity {
namespace {

using Json = nlohmann::json;

const Json& golden() {
  static const Json all = parse_json(read_file(std::string(HOLT_SOURCE_DIR) + "/tests/golden/parity.json"));
  return all;
}

const Json& golden_case(const std::string& model) {
  for (const Json& c : golden().at("cases"))
    if (c.at("model") == model) return c;
  fail("no golden case of {}", model);
}

Case of(const Json& c) { return {c.at("model"), c.at("classes"), c.at("size"), c.at("batch")}; }

// What a few roundings make of any sum: PyTorch may have been lucky.
constexpr double kLuck = 5e-7;

// Of a tensor: four times PyTorch's distance, or that of the median tensor if it was luckier with this one.
double allowed(const Json& tensors, const Json& summary) {
  std::vector<double> errors;
  for (const Json& t : tensors) errors.push_back(t.back().get<double>());
  std::nth_element(errors.begin(), errors.begin() + std::ssize(errors) / 2, errors.end());
  return 4 * std::max({summary.back().get<double>(), errors[errors.size() / 2], kLuck});
}

// ‖x − true‖ / ‖true‖, estimated from the projections of both: summary = [‖true‖, projections…, PyTorch's distance].
double distance(const std::vector<double>& projected, const Json& summary) {
  double sum = 0;
  for (int k = 0; k < kProjections; ++k) {
    const double d = projected[static_cast<size_t>(k)] - summary.at(static_cast<size_t>(k + 1)).get<double>();
    sum += d * d / kProjections;
  }
  return std::sqrt(sum) / summary.at(0).get<double>();
}

void expect_close(double got, double most, const std::string& what) {
  EXPECT_TRUE(got <= most) << what << ": " << got << ", allowed " << most;
}

class Logits : public testing::TestWithParam<const char*> {};
TEST_P(Logits, AreTorchs) {
  const Json& c = golden_case(GetParam());
  const std::vector<float> got = logits(of(c)).to_vector<float>();
  const auto want = c.at("logits").at("values").get<std::vector<double>>();
  ASSERT_EQ(got.size(), want.size());
  double most = 0, error = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    most = std::max(most, std::fabs(want[i]));
    error = std::max(error, std::fabs(got[i] - want[i]));
  }
  ASSERT_TRUE(most > 0.1);
  expect_close(error / most, std::min(1e-4, 4 * std::max(c.at("logits").at("torch_error").get<double>(), kLuck)),
               "logits");
}
INSTANTIATE_TEST_SUITE_P(Parity, Logits, testing::Values("resnet18", "resnet50", "vit_ti_16"));

// Of every parameter, and the loss; `allowed_of` says of a tensor's golden numbers how far from them it may be.
template <class F>
void expect_gradients(const Json& c, DType dtype, double loss_allowed, F&& allowed_of) {
  const Json& part = c.at("gradients");
  double loss = 0;
  Case asked = of(c);
  asked.seed = part.at("seed");
  asked.dtype = dtype;
  const nn::State got = gradients(asked, loss);
  expect_close(std::fabs(loss / part.at("loss").get<double>() - 1), loss_allowed, "loss");
  ASSERT_EQ(got.size(), part.at("tensors").size());
  for (const auto& [name, summary] : part.at("tensors").items())
    expect_close(distance(projections(name, got.at(name)), summary), allowed_of(summary), name);
}

class Gradients : public testing::TestWithParam<const char*> {};
TEST_P(Gradients, OfEveryParameterAreTorchs) {
  const Json& c = golden_case(GetParam());
  expect_gradients(c, DType::f32, 10 * kLuck,
                   [&](const Json& summary) { return allowed(c.at("gradients").at("tensors"), summary); });
}
// Without rounding: the golden numbers have twelve digits.
TEST_P(Gradients, InDoubleAreTorchsToTheLastDigits) {
  constexpr double kExact = 1e-9;
  expect_gradients(golden_case(GetParam()), DType::f64, kExact, [](const Json&) { return kExact; });
}
INSTANTIATE_TEST_SUITE_P(Parity, Gradients, testing::Values("resnet18", "vit_ti_16"));

using ModelAndOptimizer = std::pair<const char*, const char*>;
class TenSteps : public testing::TestWithParam<ModelAndOptimizer> {};
// All parameters; of the ResNet, in which rounding opens and closes ReLUs, the running means and variances.
TEST_P(TenSteps, MoveEveryTensorAsTorchDoes) {
  const auto& [model, optimizer] = GetParam();
  const Json& c = golden_case(model);
  const Json& part = c.at(optimizer);
  std::vector<double> losses;
  const nn::State got = trained(of(c),
                                {.optimizer = part.at("optimizer"),
                                 .steps = part.at("steps"),
                                 .lr = part.at("lr"),
                                 .momentum = part.at("momentum"),
                                 .weight_decay = part.at("weight_decay"),
                                 .eps = part.at("eps"),
                                 .nesterov = part.at("nesterov")},
                                losses);
  ASSERT_EQ(losses.size(), part.at("losses").size());
  for (size_t i = 0; i < losses.size(); ++i)
    expect_close(std::fabs(losses[i] / part.at("losses").at(i).get<double>() - 1),
                 4 * std::max(part.at("torch_loss_error").get<double>(), kLuck), format("loss {}", i));
  ASSERT_GT(part.at("tensors").size(), 30u);
  for (const auto& [name, summary] : part.at("tensors").items()) {
    const Tensor& end = got.at(name);
    std::vector<double> moved = projections(name, end);
    const std::vector<double> start =
        projections(name, nn::to_our_layout(counter_weight(name, nn::their_shape(end.shape()))));
    for (size_t k = 0; k < moved.size(); ++k) moved[k] -= start[k];
    expect_close(distance(moved, summary), allowed(part.at("tensors"), summary), name);
  }
}
INSTANTIATE_TEST_SUITE_P(Parity, TenSteps,
                         testing::Values(ModelAndOptimizer{"resnet18", "statistics"},
                                         ModelAndOptimizer{"vit_ti_16", "sgd"},
                                         ModelAndOptimizer{"vit_ti_16", "nesterov"},
                                         ModelAndOptimizer{"vit_ti_16", "adamw"}));

// Resized by Pillow, cropped and normalised by torchvision: pixels bit for bit, numbers to the last place.
TEST(Parity, ImagesAreFedAsTorchvisionFeedsThem) {
  for (const Json& j : golden().at("images")) {
    const int64_t h = j.at("height"), w = j.at("width"), side = j.at("side");
    data::Image image{h, w, 3, std::vector<uint8_t>(static_cast<size_t>(h * w * 3))};
    const uint64_t stream = fnv1a(format("pixels.{}.{}", h, w));
    for (int64_t i = 0; i < h * w * 3; ++i) {
      const auto noise = static_cast<int>(counter_bits(stream, static_cast<uint64_t>(i)) >> 56);
      const auto ramp = static_cast<int>(i / 3 % w * 255 / w);
      image.pixels[static_cast<size_t>(i)] = static_cast<uint8_t>(noise / 2 + ramp / 2);
    }
    const data::Image fit = data::fit_square(image, side);
    EXPECT_EQ(format("{:016x}", fnv1a({reinterpret_cast<const char*>(fit.pixels.data()), fit.pixels.size()})),
              j.at("hash").get<std::string>())
        << h << "×" << w << " → " << side;
    data::Dataset d{"image", from(fit.pixels, {1, side, side, 3}), zeros({1}, DType::i64), {"x"}};
    const data::Loader loader(std::move(d),
                              {.batch = 1, .normalize = {{0.485f, 0.456f, 0.406f}, {0.229f, 0.224f, 0.225f}}});
    const std::vector<float> x = loader.epoch(0).next()->images.to_vector<float>();
    for (size_t k = 0; k < j.at("at").size(); ++k)
      EXPECT_NEAR(x[j.at("at").at(k).get<size_t>()], j.at("normalized").at(k).get<double>(), 1e-6);
  }
}

// A check of the check: the projections see a change of one element by a thousandth of the tensor's norm.
TEST(Parity, ProjectionsSeeASmallChange) {
  const Tensor t = counter_weight("x.weight", {8, 4, 3, 3});
  const Tensor ours = nn::to_our_layout(t);
  double norm = 0;
  for (const float x : t.to_vector<float>()) norm += x * x;
  norm = std::sqrt(norm);
  const std::vector<double> p = projections("x.weight", ours);
  const Json summary = {norm, p[0], p[1], p[2], p[3], 0};
  EXPECT_EQ(distance(projections("x.weight", ours), summary), 0);
  ours.data<float>()[17] += static_cast<float>(1e-3 * norm);
  EXPECT_NEAR(distance(projections("x.weight", ours), summary), 1e-3, 1e-5);
}

}  // namespace
}  // namespace holt::parity
