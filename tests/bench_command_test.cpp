// `holt bench` as a person uses it: the program started as a process.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <set>

#include "kernels/error.h"
#include "kernels/file.h"
#include "tests/harness/expect_text.h"
#include "tests/harness/json.h"
#include "tests/harness/program.h"

namespace holt {
namespace {

using Json = nlohmann::json;

test::Result bench(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "bench");
  return test::holt_run(arguments);
}

Json measured(const std::string& model, std::vector<std::string> arguments) {
  const auto path = std::filesystem::temp_directory_path() / format("holt_bench_test.{}.json", getpid());
  const std::vector<std::string> fixed = {"model", "--model",  model, "--batch", "2",          "--steps",
                                          "2",     "--warmup", "1",   "--json",  path.string()};
  arguments.insert(arguments.begin(), fixed.begin(), fixed.end());
  const test::Result r = bench(arguments);
  EXPECT_EQ(r.code, 0) << r.err;
  const Json json = parse_json(read_file(path.string()));
  std::filesystem::remove(path);
  return json;
}

// Two convolutions and three linear layers on a batch of two, by hand; a backward has twice the products, but for the
// first layer, whose input has no gradient.
TEST(BenchModel, CountsTheProductsOfAStep) {
  const double conv1 = 2.0 * 28 * 28 * 6 * 25, conv2 = 2.0 * 10 * 10 * 16 * 6 * 25,
               linear = 2.0 * (400 * 120 + 120 * 84 + 84 * 10);
  const Json train = measured("lenet", {"--train", "--profile"});
  EXPECT_NEAR(train.at("gflop_per_image").get<double>(), (2 * conv1 + 3 * (conv2 + linear)) * 1e-9, 1e-12);

  EXPECT_EQ(train.at("seconds").size(), 2u);
  EXPECT_EQ(train.at("system_allocations"), 0);
  EXPECT_GT(train.at("peak_f32_gflops").get<double>(), 0);
  EXPECT_GT(train.at("peak_rss_bytes").get<double>(), train.at("tensor_bytes").get<double>());
  const double seconds = train.at("seconds")[1];  // of two the median is the longer
  EXPECT_NEAR(train.at("images_per_second").get<double>(), 2 / seconds, 1e-6 / seconds);
  EXPECT_NEAR(train.at("percent_of_peak").get<double>(),
              100 * train.at("gflops").get<double>() / train.at("peak_f32_gflops").get<double>(), 1e-6);
  std::set<std::string> ops;
  for (const Json& line : train.at("profile")) ops.insert(line.at("op").get<std::string>());
  for (const char* op : {"conv2d 5×5, forward", "conv2d 5×5, backward", "linear, backward", "optimizer"})
    EXPECT_TRUE(ops.count(op)) << op;
}

// In inference norms and sums are in the convolutions' passes: their products count as ever, theirs do not. resnet8 by
// hand: the stem, then two 3×3 convolutions in each layer and a 1×1 where the shape changes.
TEST(BenchModel, CountsTheProductsOfInference) {
  const auto conv = [](double side, double in, double out, double kernel) {
    return 2 * side * side * out * kernel * kernel * in;
  };
  const double stem = conv(28, 1, 16, 3), layer1 = 2 * conv(28, 16, 16, 3),
               layer2 = conv(14, 16, 32, 3) + conv(14, 32, 32, 3) + conv(14, 16, 32, 1),
               layer3 = conv(7, 32, 64, 3) + conv(7, 64, 64, 3) + conv(7, 32, 64, 1), fc = 2 * 64 * 10;
  const Json inference = measured("resnet8", {"--inference"});
  EXPECT_NEAR(inference.at("gflop_per_image").get<double>(), (stem + layer1 + layer2 + layer3 + fc) * 1e-9, 1e-12);
}

// ViT-Ti/16 on images of 32×32, four patches and the class token. In each of twelve blocks: queries, keys and values,
// scores and their product with the values, the projection, the perceptron. Attention's backward computes the scores
// anew, then four products: five for two.
TEST(BenchModel, CountsTheProductsOfATransformer) {
  const double d = 192, tokens = 5, patches = 2 * 4 * d * (16 * 16 * 3), head = 2 * d * 10,
               linear = 12 * 2 * tokens * d * (3 * d + d + 4 * d + 4 * d), attention = 12 * 2 * 2 * tokens * tokens * d;
  const std::vector<std::string> small = {"--image-size", "32", "--classes", "10"};
  std::vector<std::string> forward = small;
  forward.push_back("--inference");
  const Json inference = measured("vit_ti_16", forward), train = measured("vit_ti_16", small);
  EXPECT_NEAR(inference.at("gflop_per_image").get<double>(), (patches + linear + attention + head) * 1e-9, 1e-12);
  EXPECT_NEAR(train.at("gflop_per_image").get<double>(), (2 * patches + 3 * (linear + head) + 3.5 * attention) * 1e-9,
              1e-12);
}

TEST(BenchModel, SaysWhatItMeasured) {
  const test::Result r = bench({"model", "--model", "mlp", "--steps", "1", "--profile"});
  EXPECT_EQ(r.code, 0) << r.err;
  for (const char* part : {"peaks now", "images/s", "% of the peak", "where the step's time goes", "linear, backward"})
    EXPECT_HAS(r.out, part);
  EXPECT_EQ(r.out.find("Winograd"), std::string::npos);
  const test::Result convolutions =
      bench({"model", "--model", "resnet8", "--steps", "1", "--batch", "1", "--inference"});
  EXPECT_EQ(convolutions.code, 0) << convolutions.err;
  EXPECT_HAS(convolutions.out, "by the definition; Winograd's");
}

TEST(BenchModel, RefusesWhatItCannotMeasure) {
  test::Result r = bench({"modle"});
  EXPECT_EQ(r.code, 2);
  EXPECT_HAS(r.err, "there is no command 'modle'; did you mean 'model'?");
  r = bench({"model", "--modle", "x"});
  EXPECT_EQ(r.code, 2);
  EXPECT_HAS(r.err, "unknown option '--modle'; did you mean '--model'?");
  EXPECT_HAS(r.err, "See: holt bench model --help");
  r = bench({"model", "--processor-time"});
  EXPECT_EQ(r.code, 1);
  EXPECT_HAS(r.err, "--processor-time needs --threads 1");
  EXPECT_EQ(bench({}).code, 2);
}

}  // namespace
}  // namespace holt
