// `holt weights` and --weights as a person uses them: files in PyTorch's names, small images.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "core/ops.h"
#include "core/torch_file.h"
#include "data/png.h"
#include "kernels/file.h"
#include "kernels/philox.h"
#include "nn/models/registry.h"
#include "nn/state_file.h"
#include "nn/usage.h"
#include "nn/weights/weights.h"
#include "tests/harness/expect_text.h"
#include "tests/harness/idx_header.h"
#include "tests/harness/json.h"
#include "tests/harness/program.h"

namespace holt {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using test::Arguments, test::Result, test::holt_run;

class WeightsCommand : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    setenv("OMP_NUM_THREADS", "1", 1);
    folder_ = fs::temp_directory_path() / format("holt_weights_command_test.{}", getpid());
    fs::create_directories(folder_ / "data");
    write_part("train", 24);
    write_part("t10k", 20);
    Generator g(1);
    model_ = nn::make_model({.name = "resnet18", .classes = 10, .channels = 3, .height = 224, .width = 224}, g);
    nn::save_weights(path("r18.pth"), *model_, "torchvision");
  }
  static void TearDownTestSuite() {
    model_.reset();
    fs::remove_all(folder_);
  }

  // Fashion-MNIST's format, ten classes of 28×28 noise.
  static void write_part(const std::string& part, int n) {
    std::string images = test::idx_header({n, 28, 28}), labels = test::idx_header({n});
    for (int i = 0; i < n; ++i) labels += static_cast<char>(i % 10);
    for (int i = 0; i < n * 784; ++i) images += static_cast<char>(philox(1, 0, static_cast<uint64_t>(i)).v[0]);
    write_atomically(path("data/" + part + "-images-idx3-ubyte"), images);
    write_atomically(path("data/" + part + "-labels-idx1-ubyte"), labels);
  }
  static std::string path(const std::string& name) { return (folder_ / name).string(); }

  static inline fs::path folder_;
  static inline std::unique_ptr<nn::Model> model_;
};

TEST_F(WeightsCommand, Inspect) {
  Result r = holt_run({"weights", "inspect", path("r18.pth")});
  ASSERT_EQ(r.code, 0) << r.err;
  EXPECT_HAS(r.out, "r18.pth: PyTorch, 122 tensors, 11.18 M parameters, 44.8 MB");
  EXPECT_HAS(r.out, "torchvision (timm's are the same)");
  EXPECT_HAS(r.out, "model      resnet18");
  EXPECT_HAS(r.out, "classes    10");
  EXPECT_HAS(r.out, "64×3×7×7");
  EXPECT_HAS(r.out, "37.6 kB");
  EXPECT_HAS(r.out, "layer4.1.bn2.running_var");

  r = holt_run({"weights", "inspect", path("r18.pth"), "--json"});
  ASSERT_EQ(r.code, 0) << r.err;
  const Json j = parse_json(r.out);
  EXPECT_EQ(j["names"], "torchvision");
  EXPECT_EQ(j["model"], "resnet18");
  EXPECT_EQ(j["classes"], 10);
  EXPECT_EQ(j["parameters"], model_->parameter_count());
  EXPECT_EQ(j["unused"].size(), 20u);
  EXPECT_EQ(j["tensors"].size(), 122u);

  write_torch_file(path("odd.pth"), {{"features.0.weight", zeros({2, 3})}});
  r = holt_run({"weights", "inspect", path("odd.pth")});
  EXPECT_EQ(r.code, 0) << r.err;
  EXPECT_HAS(r.out, "not recognised: neither a ResNet nor");
  EXPECT_HAS(r.out, "features.0.weight");
  EXPECT_FALSE(parse_json(holt_run({"weights", "inspect", path("odd.pth"), "--json"}).out)["recognised"]);
}

TEST_F(WeightsCommand, ConvertsThereAndBack) {
  ASSERT_EQ(holt_run({"weights", "convert", path("r18.pth"), "--to", "hf", "--out", path("a.safetensors")}).code, 0);
  EXPECT_TRUE(read_safetensors(path("a.safetensors")).tensors.contains("classifier.1.bias"));
  write_atomically(path("names.txt"), "a\nb\nc\r\nd\n\ne\nf\ng\nh\ni\nj\n");
  Result r = holt_run({"weights", "convert", path("a.safetensors"), "--to", "holt", "--classes", path("names.txt"),
                       "--image-size", "64", "--out", path("b.safetensors")});
  ASSERT_EQ(r.code, 0) << r.err;
  EXPECT_HAS(r.out, "resnet18(classes 10, input 64×64×3");
  const Safetensors own = read_safetensors(path("b.safetensors"));
  EXPECT_EQ(own.tensors.at("conv1.weight").to_vector<float>(), model_->state().at("conv1.weight").to_vector<float>());
  const auto usage = nn::usage_from_metadata(own.metadata, nn::config_from_metadata(own.metadata, "b"), "b");
  EXPECT_EQ(usage.classes, (std::vector<std::string>{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"}));
  EXPECT_EQ(usage.mean, (std::vector<float>{0.485f, 0.456f, 0.406f}));
  r = holt_run({"weights", "convert", path("b.safetensors"), "--to", "torchvision", "--out", path("c.pth")});
  ASSERT_EQ(r.code, 0) << r.err;
  EXPECT_EQ(read_file(path("c.pth")), read_file(path("r18.pth")));
}

TEST_F(WeightsCommand, WrongCommandLinesAndFiles) {
  EXPECT_EQ(holt_run({"weights"}).code, 2);
  EXPECT_EQ(holt_run({"weights", "inspect"}).code, 2);
  EXPECT_EQ(holt_run({"weights", "inspekt", path("r18.pth")}).code, 2);
  EXPECT_EQ(holt_run({"weights", "convert", path("r18.pth"), "--to", "keras", "--out", "x"}).code, 2);
  Result r = holt_run({"weights", "convert", path("r18.pth"), "--to", "hf"});
  EXPECT_EQ(r.code, 1);
  EXPECT_HAS(r.err, "convert needs --to and --out");
  r = holt_run({"weights", "convert", path("r18.pth"), "--to", "hf", "--out", path("r18.pth")});
  EXPECT_EQ(r.code, 1);
  EXPECT_HAS(r.err, "is the file itself");
  write_atomically(path("there"), "x");
  r = holt_run({"weights", "convert", path("r18.pth"), "--to", "hf", "--out", path("there")});
  EXPECT_EQ(r.code, 1);
  EXPECT_HAS(r.err, "--overwrite replaces it");
  EXPECT_EQ(read_file(path("there")), "x");
  r = holt_run({"weights", "convert", path("r18.pth"), "--to", "hf", "--out", path("d.pth"), "--model", "resnet34"});
  EXPECT_EQ(r.code, 1);
  EXPECT_HAS(r.err, "does not fit resnet34");
  EXPECT_HAS(r.err, "missing (");
  EXPECT_FALSE(fs::exists(path("d.pth")));
  write_atomically(path("three.txt"), "a\nb\nc\n");
  r = holt_run(
      {"weights", "convert", path("r18.pth"), "--to", "holt", "--out", path("d"), "--classes", path("three.txt")});
  EXPECT_EQ(r.code, 1);
  EXPECT_HAS(r.err, "its classifier has 10 classes, 3 are named");
  r = holt_run({"weights", "inspect", path("names_of_nothing.pth")});
  EXPECT_EQ(r.code, 1);
  EXPECT_HAS(r.err, "names_of_nothing.pth");
}

TEST_F(WeightsCommand, TrainingStartsFromThem) {
  const Arguments train = {"train",     "--data-dir",     path("data"), "--model",   "resnet18",
                           "--weights", path("r18.pth"),  "--out",      path("run"), "--batch",
                           "8",         "--max-steps",    "1",          "--lr",      "1e-12",
                           "--no-flip", "--weight-decay", "0"};
  Result r = holt_run(train);
  ASSERT_EQ(r.code, 0) << r.err;
  EXPECT_HAS(r.out, "r18.pth: resnet18, names of torchvision");
  EXPECT_HAS(r.out, "red, green and blue are summed for gray images");
  const auto trained = read_safetensors(path("run/model.safetensors")).tensors.at("layer2.0.conv1.weight");
  const auto start = model_->state().at("layer2.0.conv1.weight").to_vector<float>(), end = trained.to_vector<float>();
  for (size_t i = 0; i < start.size(); ++i) ASSERT_NEAR(start[i], end[i], 1e-9);
  // A resumed run knows where it came from.
  r = holt_run({"train", "--resume", "--out", path("run"), "--data-dir", path("data"), "--weights", "other.pth"});
  EXPECT_EQ(r.code, 1);
  EXPECT_HAS(r.err, "--weights \"other.pth\" differs from the run");
  EXPECT_EQ(holt_run({"train", "--resume", "--out", path("run"), "--data-dir", path("data")}).code, 0);
  Arguments wrong = train;
  wrong[4] = "resnet34";
  wrong.push_back("--overwrite");
  r = holt_run(wrong);
  EXPECT_EQ(r.code, 1);
  EXPECT_HAS(r.err, "does not fit resnet34");
}

TEST_F(WeightsCommand, EvaluatesThem) {
  const Result foreign = holt_run({"eval", "--weights", path("r18.pth"), "--data-dir", path("data"), "--json"});
  ASSERT_EQ(foreign.code, 0) << foreign.err;
  EXPECT_HAS(foreign.err, "names of torchvision");
  const Json j = parse_json(foreign.out);
  std::vector<std::string> classes;
  for (const auto& [name, ignored] : j["classes"].items()) classes.push_back(name);
  EXPECT_EQ(classes.size(), 10u);
  EXPECT_EQ(j["samples"], 20);
  EXPECT_TRUE(std::isfinite(j["loss"].get<double>()));
  const Result r = holt_run({"eval", "--classes", "x", "--data-dir", path("data")});
  EXPECT_EQ(r.code, 1);
  EXPECT_HAS(r.err, "--classes names the classes of --weights");
}

TEST_F(WeightsCommand, AdaptsThem) {
  for (int i = 0; i < 3; ++i)
    for (const char* name : {"a", "b"}) {
      fs::create_directories(folder_ / "mine" / name);
      data::Image image{32, 32, 3, std::vector<uint8_t>(32 * 32 * 3, static_cast<uint8_t>(40 * i + name[0]))};
      data::write_png(path(format("mine/{}/{}.png", name, i)), image);
    }
  write_atomically(path("ten.txt"), "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n");
  const Arguments adapt = {
      "adapt",        "--weights", path("r18.pth"), "--data", path("mine"), "--out",  path("adapted.safetensors"),
      "--image-size", "32",        "--method",      "sgd",    "--set",      "steps=1"};
  Result r = holt_run(adapt);
  EXPECT_EQ(r.code, 1);
  EXPECT_HAS(r.err, "--weights and --classes belong together");
  Arguments named = adapt;
  named.insert(named.end(), {"--classes", path("ten.txt")});
  r = holt_run(named);
  ASSERT_EQ(r.code, 0) << r.err;
  EXPECT_HAS(r.out, "resnet18(classes 10, input 32×32×3");
  EXPECT_HAS(r.out, "missing  8 classes");
  r = holt_run({"predict", "--model", path("adapted.safetensors"), path("mine/a/0.png")});
  EXPECT_EQ(r.code, 0) << r.err;
}

}  // namespace
}  // namespace holt
