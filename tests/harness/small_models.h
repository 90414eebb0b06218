// Narrow or shallow models that bear the names of real ones: files of their weights stay small.
#pragma once
#include "core/random.h"
#include "nn/models/clip_vit.h"
#include "nn/models/resnet.h"
#include "nn/models/vit.h"

namespace holt::test {

inline nn::ViT small_vit(uint64_t seed, int64_t classes = 5, int64_t size = 32, int64_t channels = 3) {
  Generator g(seed);
  return {{.name = "vit_b_16", .classes = classes, .channels = channels, .height = size, .width = size},
          {.patch = 16, .features = 16, .depth = 2, .heads = 2},
          g};
}
inline nn::ClipViT small_clip(uint64_t seed, int64_t classes = 5, int64_t size = 32) {
  Generator g(seed);
  return {{.name = "clip_vit_b_16", .classes = classes, .channels = 3, .height = size, .width = size},
          {.patch = 16, .features = 16, .depth = 2, .heads = 2, .representation = 8},
          g};
}
inline nn::ResNet small_resnet(uint64_t seed, bool bottleneck = false, int64_t classes = 5, int64_t channels = 3) {
  Generator g(seed);
  nn::ResNet r({.name = bottleneck ? "resnet50" : "resnet18",
                .classes = classes,
                .channels = channels,
                .height = 224,
                .width = 224},
               {.blocks = {1, 2, 0, 0}, .bottleneck = bottleneck}, g);
  for (auto& [name, t] : r.named_buffers()) {  // so that no two are the same
    const Tensor drawn = uniform(t.shape(), 0.5, 1.5, g);
    std::copy_n(drawn.data<float>(), t.numel(), t.data<float>());
  }
  return r;
}

}  // namespace holt::test
