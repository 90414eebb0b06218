// The example of docs/models.md, compiled and run as it stands there (tests/CMakeLists.txt cuts it out).
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "core/ops.h"
#include "nn/models/registry.h"
#include "nn/models/vit.h"
#include "nn/optim.h"
#include "nn/weights/weights.h"
#include "tests/harness/expect_text.h"
#include "tests/harness/tensors.h"

namespace holt {
namespace {

namespace fs = std::filesystem;

// A new folder to stand in; gone with the test.
struct Folder {
  Folder() {
    fs::create_directories(path);
    fs::current_path(path);
  }
  ~Folder() {
    fs::current_path(before);
    fs::remove_all(path);
  }
  fs::path before = fs::current_path(), path = fs::temp_directory_path() / format("holt_models_md_test.{}", getpid());
};

using test::values;

TEST(ModelsPage, ItsExampleDoesWhatItSays) {
  const Folder folder;
  Generator g(2);
  auto trained = nn::make_model({.name = "vit_ti_16", .classes = 1000, .channels = 3, .height = 224, .width = 224}, g);
  nn::save_weights("vit_ti_16_224.pth", *trained, "timm");

#include "models_md.inc"

  const nn::State mine = model->state(), file = trained->state();
  EXPECT_EQ(values(mine.at("blocks.3.attn.qkv.weight")), values(file.at("blocks.3.attn.qkv.weight")));
  EXPECT_EQ(values(mine.at("pos_embed")), values(nn::interpolate_positions(file.at("pos_embed"), 14, 14, 24, 24)));
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_HAS(notes[0], "interpolated from 14×14 patches to 24×24");
  EXPECT_EQ(model->config().classes, 37);
  EXPECT_EQ(dynamic_cast<nn::ViT&>(*model).blocks.back().drop_path1.p, 0.1);
  for (const auto& [name, p] : model->named_parameters()) {
    const bool last = name.starts_with("blocks.10.") || name.starts_with("blocks.11.");
    EXPECT_EQ(p.requires_grad(), last || name.starts_with("norm.") || name.starts_with("head.")) << name;
  }

  // The optimiser holds the new classifier.
  const std::vector<float> before = values(model->classifier().weight);
  cross_entropy(model->classifier()(uniform({2, 192}, -1, 1, g)), from<int64_t>({1, 36}, Shape{2})).backward();
  optimizer.step();
  EXPECT_NE(values(model->classifier().weight), before);
}

}  // namespace
}  // namespace holt
