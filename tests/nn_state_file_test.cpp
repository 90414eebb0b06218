// Models in files: what is saved comes back, and anything else is one error that names the file.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "core/ops.h"
#include "nn/models/registry.h"
#include "nn/state_file.h"
#include "tests/harness/expect_error.h"
#include "tests/harness/tensors.h"

namespace holt::nn {
namespace {

using test::values;

std::unique_ptr<Model> make(const std::string& text, uint64_t seed = 3) {
  Generator g(seed);
  return make_model(parse_model(text), g);
}

class StateFile : public testing::Test {
 protected:
  StateFile() : folder_(std::filesystem::temp_directory_path() / format("holt_state_file_{}", int64_t{getpid()})) {
    std::filesystem::create_directories(folder_);
  }
  ~StateFile() override { std::filesystem::remove_all(folder_); }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }

 private:
  std::filesystem::path folder_;
};

TEST_F(StateFile, ASavedModelComesBack) {
  auto m = make("resnet8:stem_stride=2");
  Generator g(4);
  const Tensor x = uniform({4, 28, 28, 1}, -1, 1, g);
  (*m)(x);  // moves the running statistics
  m->eval();
  const std::string file = path("m.safetensors");
  save_model(file, *m, {{"note", "three words here"}});
  auto back = load_model(file);
  EXPECT_EQ(back->config(), m->config());
  EXPECT_EQ(back->config().options.at("stem_stride"), "2");
  EXPECT_FALSE(back->training());
  EXPECT_TRUE(back->classifier().weight.requires_grad());
  EXPECT_EQ(read_safetensors(file).metadata.at("note"), "three words here");
  EXPECT_EQ(values((*back)(x)), values((*m)(x)));
  auto other = make("resnet8:stem_stride=2", 5);
  load_weights(file, *other);
  other->eval();
  EXPECT_EQ(values((*other)(x)), values((*m)(x)));
  EXPECT_EQ(error_of([&] {
              save_model(file, *m, {{"holt.model", "x"}});
            }),
            "save_model: the metadata key 'holt.model' is holt's own");
}

TEST_F(StateFile, AnotherModelIsOneClearError) {
  auto lenet = make("lenet"), resnet = make("resnet8");
  const std::string file = path("lenet.safetensors");
  save_model(file, *lenet);
  const std::vector<float> before = values(resnet->parameters()[0]);
  EXPECT_EQ(error_of([&] { load_weights(file, *resnet); }),
            file +
                ": holds lenet(classes 10, input 28×28×1, dropout 0), expected resnet8(classes 10, input 28×28×1, "
                "shortcut B, stem_stride 1)");
  EXPECT_EQ(values(resnet->parameters()[0]), before);
}

TEST_F(StateFile, DamagedMetadata) {
  auto lenet = make("lenet");
  const std::string file = path("x.safetensors");
  const auto error_with = [&](const std::string& key, const std::string& value) {
    Metadata m = to_metadata(lenet->config());
    m[key] = value;
    write_safetensors(file, lenet->state(), m);
    return error_of([&] { load_model(file); });
  };
  write_safetensors(file, lenet->state());
  EXPECT_EQ(error_of([&] { load_model(file); }), file + ": no model of holt: its metadata has no 'holt.model'");
  EXPECT_EQ(error_with("holt.classes", "many"),
            file + ": 'holt.classes' must be a number from 1 to 1048576, got 'many'");
  EXPECT_EQ(error_with("holt.height", "-28"), file + ": 'holt.height' must be a number from 1 to 16384, got '-28'");
  EXPECT_EQ(error_with("holt.width", "99999999"),
            file + ": 'holt.width' must be a number from 1 to 16384, got '99999999'");
  EXPECT_TRUE(error_with("holt.model", "lenot").starts_with(file + ": model: no model 'lenot'; known are mlp, lenet, "))
      << error_with("holt.model", "lenot");
  EXPECT_EQ(error_with("holt.option.depth", "5"), file + ": lenet: no option 'depth'; it has dropout");
  EXPECT_EQ(error_with("holt.classes", "11"),
            file +
                ": load_state: the state does not fit this module\n"
                "  misshapen (2): fc.bias: expected f32 [11], got f32 [10], fc.weight: expected f32 [11, 84], got "
                "f32 [10, 84]");
  EXPECT_NE(error_of([&] { load_model(path("absent.safetensors")); }).find("absent.safetensors"), std::string::npos);
}

}  // namespace
}  // namespace holt::nn
