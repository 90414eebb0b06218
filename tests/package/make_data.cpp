// Something small for minimal_transfer: an untrained model of three classes and images of two of them, in this folder.
#include <cstdio>
#include <filesystem>

#include "data/png.h"
#include "nn/models/registry.h"
#include "nn/state_file.h"
#include "nn/usage.h"

int main() try {
  using namespace holt;
  constexpr int64_t kSide = 8;
  Generator generator(1);
  const auto model =
      nn::make_model({.name = "lenet", .classes = 3, .channels = 1, .height = 28, .width = 28}, generator);
  nn::save_model("model.safetensors", *model, nn::to_metadata(nn::Usage{{"left", "right", "top"}, {0.5f}, {0.5f}}));
  for (const char* name : {"left", "right"})
    for (int i = 0; i < 4; ++i) {
      std::filesystem::create_directories(std::filesystem::path("images") / name);
      data::Image image{kSide, kSide, 1, std::vector<uint8_t>(kSide * kSide)};
      for (int64_t y = 0; y < kSide; ++y)
        for (int64_t x = 0; x < kSide / 2; ++x)
          image.pixels[y * kSide + x + (name[0] == 'r') * kSide / 2] = static_cast<uint8_t>(200 + i);
      data::write_png(format("images/{}/{}.png", name, i), image);
    }
} catch (const std::exception& e) {
  std::fprintf(stderr, "%s\n", e.what());
  return 1;
}
