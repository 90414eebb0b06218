// Plans, with the real cuDNN and no GPU, every convolution that ResNet-18, ResNet-50, ViT-S/16 and ViT-B/16 need on
// 224×224 images, for the five GPUs of tests/gpu/ (cuDNN's own description of each), by the code that serves on a GPU.
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "kernels/cuda/cudnn_graph.h"
#include "kernels/cuda/cudnn_library.h"
#include "kernels/file.h"
#include "tests/harness/expect_error.h"

namespace holt::cudnn {
namespace {

constexpr const char* kGpus[] = {"a100", "rtx4090", "h100", "b200", "rtx5090"};

Target target(const std::string& gpu) {
  return Target::described_by(read_file(format("{}/tests/gpu/{}.json", HOLT_SOURCE_DIR, gpu)));
}

struct Layer {
  Conv2d conv;
  bool first, bias;  // the first layer's input needs no gradient
};

// He et al. 2015, table 1, with the stride in the 3×3 of a bottleneck, as torchvision has it.
void add_resnet(std::map<std::string, Layer>& layers, std::array<int, 4> blocks, bool bottleneck) {
  const auto add = [&](int64_t size, int64_t cin, int64_t cout, int64_t kernel, int64_t stride, bool first = false) {
    const Conv2d c{1, size, size, cin, cout, kernel, kernel, stride, stride, kernel / 2, kernel / 2};
    layers.emplace(to_string(Problem{Direction::forward, DType::f32, c}), Layer{c, first, false});
  };
  add(224, 3, 64, 7, 2, true);
  int64_t size = 56, cin = 64;  // after the max pooling
  for (int stage = 0; stage < 4; ++stage)
    for (int block = 0; block < blocks[static_cast<size_t>(stage)]; ++block) {
      const int64_t width = int64_t{64} << stage, cout = bottleneck ? 4 * width : width,
                    stride = stage > 0 && block == 0 ? 2 : 1;
      if (bottleneck) {
        add(size, cin, width, 1, 1);
        add(size, width, width, 3, stride);
        add(size / stride, width, cout, 1, 1);
      } else {
        add(size, cin, width, 3, stride);
        add(size / stride, width, width, 3, 1);
      }
      if (block == 0 && cin != cout) add(size, cin, cout, 1, stride);
      size /= stride, cin = cout;
    }
}

std::vector<Layer> layers() {
  std::map<std::string, Layer> unique;
  add_resnet(unique, {2, 2, 2, 2}, false);
  add_resnet(unique, {3, 4, 6, 3}, true);
  for (const int64_t dim : {384, 768}) {  // ViT-S, ViT-B: the patch embedding
    const Conv2d c{1, 224, 224, 3, dim, 16, 16, 16, 16, 0, 0};
    unique.emplace(to_string(Problem{Direction::forward, DType::f32, c}), Layer{c, true, true});
  }
  std::vector<Layer> all;
  for (const auto& [name, layer] : unique) all.push_back(layer);
  return all;
}

// Training, inference, and inference with batch norm folded into weights and bias.
std::vector<Problem> problems(DType t, bool tf32) {
  std::vector<Problem> all;
  for (const Layer& layer : layers())
    for (const int64_t n : {1, 32, 33, 256}) {
      Conv2d c = layer.conv;
      c.n = n;
      all.push_back({Direction::forward, t, c, layer.bias, tf32});
      if (!layer.first) all.push_back({Direction::backward_data, t, c, false, tf32});
      all.push_back({Direction::backward_weights, t, c, false, tf32});
      c.relu = !layer.bias;
      if (c.relu) all.push_back({Direction::forward, t, c, true, tf32});
    }
  return all;
}

// The engine's number alone: "eng1" of "eng1_k2=-1_k3=-1".
std::string number(const std::string& engine) { return engine.substr(0, engine.find('_')); }

bool can_plan() { return library().found() && version() >= 90800; }
std::string why_not() {
  return library().found() ? format("cuDNN {} cannot plan without a GPU; 9.8 can", version_text())
                           : library().missing();
}

using Case = std::pair<std::string, std::string>;  // GPU, arithmetic
std::vector<Case> cases() {
  std::vector<Case> all;
  for (const char* gpu : kGpus)
    for (const char* type : {"bf16", "f16", "f32", "tf32"}) all.emplace_back(gpu, type);
  return all;
}

class CudnnPlans : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    if (!can_plan()) GTEST_SKIP() << why_not();
  }
};

// Not one refusal is borne: the list of exceptions is empty.
TEST_P(CudnnPlans, EveryConvolution) {
  const auto& [gpu, type] = GetParam();
  const Target t = target(gpu);
  const bool tf32 = type == "tf32";
  for (const Problem& p : problems(tf32 ? DType::f32 : parse_dtype(type), tf32)) {
    const std::vector<Plan> plans = make_plans(p, t);
    ASSERT_EQ(plans.size(), 1u) << gpu << " refuses " << to_string(p);
    const Plan& plan = plans.front();
    EXPECT_LE(plan.workspace(), kMostWorkspace);
    EXPECT_FALSE(type == "f32" && plan.tensor_cores()) << to_string(p) << ": " << plan.engine();
    // What is kept on disk gives the same plan.
    const Plan again = load_plan(p, t, plan.json());
    EXPECT_EQ(number(again.engine()), number(plan.engine())) << to_string(p);
    EXPECT_EQ(again.workspace(), plan.workspace()) << to_string(p);
  }
}

INSTANTIATE_TEST_SUITE_P(All, CudnnPlans, testing::ValuesIn(cases()),
                         [](const auto& info) { return info.param.first + "_" + info.param.second; });

// ResNeXt-50's 3×3 convolutions and DeepLab's dilated ones.
TEST(CudnnGraph, PlansGroupsAndDilation) {
  if (!can_plan()) GTEST_SKIP() << why_not();
  Conv2d grouped{32, 56, 56, 128, 128, 3, 3, 1, 1, 1, 1}, dilated{32, 14, 14, 512, 512, 3, 3, 1, 1, 2, 2};
  grouped.groups = 32, dilated.dilation_h = dilated.dilation_w = 2;
  for (const Conv2d& c : {grouped, dilated})
    for (const Direction d : {Direction::forward, Direction::backward_data, Direction::backward_weights}) {
      const Problem p{d, DType::bf16, c};
      EXPECT_EQ(make_plans(p, target("h100")).size(), 1u) << to_string(p);
    }
}

// Shapes of tests/cases/conv2d.h that no model has: a plan or a refusal, never an error.
TEST(CudnnGraph, AwkwardShapes) {
  if (!can_plan()) GTEST_SKIP() << why_not();
  const Target t = target("h100");
  Conv2d depthwise{2, 14, 14, 24, 24, 3, 3, 1, 1, 1, 1}, dilated = depthwise, oblong{2, 9, 14, 8, 16, 2, 3, 2, 1, 1, 3};
  depthwise.groups = 24, dilated.dilation_h = dilated.dilation_w = 2;
  oblong.dilation_h = 2, oblong.dilation_w = 3, oblong.groups = 4;
  for (const Conv2d& c :
       {depthwise, dilated, oblong, Conv2d{1, 1, 1, 1, 1, 1, 1}, Conv2d{2, 7, 7, 1, 16, 3, 3, 1, 1, 1, 1},
        Conv2d{1, 3, 3, 5, 7, 3, 3, 1, 1, 4, 4}, Conv2d{2, 10, 10, 6, 5, 3, 3, 3, 3, 0, 0},
        Conv2d{2, 5, 11, 8, 8, 2, 3, 1, 2, 0, 1}, Conv2d{1, 1, 65, 8, 16, 1, 5, 1, 1, 0, 2}})
    for (const Direction d : {Direction::forward, Direction::backward_data, Direction::backward_weights})
      for (const DType type : {DType::f32, DType::bf16, DType::f16})
        for (const bool bias : {false, true}) {
          const Problem p{d, type, c, bias && d == Direction::forward};
          EXPECT_NO_THROW(make_plans(p, t)) << to_string(p);
        }
}

TEST(CudnnGraph, SeveralPlansAreDifferentEngines) {
  if (!can_plan()) GTEST_SKIP() << why_not();
  const Problem p{Direction::forward, DType::bf16, {32, 56, 56, 64, 64, 3, 3, 1, 1, 1, 1}};
  std::set<std::string> engines;
  for (const Plan& plan : make_plans(p, target("a100"), 8)) engines.insert(plan.engine());
  EXPECT_EQ(engines.size(), 8u);
}

TEST(CudnnGraph, ErrorsSpellTheGraphOut) {
  if (!can_plan()) GTEST_SKIP() << why_not();
  const Target t = target("h100");
  // A window larger than the padded image: conv2d's op rules it out, and cuDNN must not be the first to notice.
  const Problem wrong{Direction::forward, DType::bf16, {1, 3, 3, 8, 8, 7, 7, 1, 1, 1, 1}};
  EXPECT_ERROR(make_plans(wrong, t), "conv2d_forward bf16 [1, 3, 3, 8]->8 7x7 stride 1x1 pad 1x1: cuDNN");
  const Problem right{Direction::forward, DType::bf16, {1, 3, 3, 8, 8, 3, 3, 1, 1, 1, 1}};
  EXPECT_ERROR(load_plan(right, t, "{\"not\": \"a plan\"}"), "does not take the plan that was kept");
  EXPECT_ERROR(Target::described_by("{}"), "does not take these device properties");
}

}  // namespace
}  // namespace holt::cudnn
