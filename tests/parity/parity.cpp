// holt_parity CASE.json OUT.safetensors — what tests/parity/sweep.py asks of holt.
//
//   {"what": "logits" | "gradients" | "steps", "model": "resnet50", "classes": 1000, "size": 224, "batch": 2,
//    "weights": "file", "head": "file" (a CLIP tower's), "seed": 0, "optimizer": "sgd", "steps": 10, "lr": …,
//    "momentum": …, "nesterov": …, "weight_decay": …, "eps": …,
//    "exact": true (in f64), "held": true (a ResNet's gates as f64 has them)}
//   {"what": "image", "file": "a.png", "size": 224}      → f32 [size, size, 3], as networks of ImageNet are fed
#include <cstdio>
#include <nlohmann/json.hpp>

#include "core/json.h"
#include "core/safetensors.h"
#include "data/image.h"
#include "data/loader.h"
#include "kernels/file.h"
#include "tests/parity/gates.h"

namespace holt::parity {
namespace {

using Json = nlohmann::json;

Tensor image(const Json& j) {
  const auto size = j.at("size").get<int64_t>();
  const data::Image i =
      data::load_framed(j.at("file").get<std::string>(), {.height = size, .width = size, .channels = 3});
  data::Dataset d{"image", from(i.pixels, {1, size, size, 3}), zeros({1}, DType::i64), {"x"}};
  const data::Loader loader(std::move(d),
                            {.batch = 1, .normalize = {{0.485f, 0.456f, 0.406f}, {0.229f, 0.224f, 0.225f}}});
  return loader.epoch(0).next()->images.reshape({size, size, 3});
}

Stepping stepping_of(const Json& j) {
  return {.optimizer = j.at("optimizer"),
          .steps = j.at("steps"),
          .lr = j.at("lr"),
          .momentum = j.at("momentum"),
          .weight_decay = j.at("weight_decay"),
          .eps = j.at("eps"),
          .nesterov = j.at("nesterov")};
}

nn::State run(const Json& j) {
  const auto what = j.at("what").get<std::string>();
  if (what == "image") return {{"image", image(j)}};
  const Case c{.model = j.at("model"),
               .classes = j.at("classes"),
               .size = j.at("size"),
               .batch = j.at("batch"),
               .weights = j.at("weights"),
               .head = j.value("head", ""),
               .seed = j.value("seed", 0),
               .dtype = j.value("exact", false) ? DType::f64 : DType::f32};
  if (what == "logits") return {{"logits", logits(c)}};
  const Stepping stepping = j.contains("optimizer") ? stepping_of(j) : Stepping{};
  nn::State ours, theirs;
  std::vector<double> losses;
  if (j.value("held", false)) {
    HeldRun run = held(c, what == "steps" ? &stepping : nullptr);
    ours = std::move(run.state);
    losses = std::move(run.losses);
    theirs["gates"] = from(std::vector<int64_t>{run.gates, run.differ}, {2});
  } else if (what == "gradients") {
    losses.resize(1);
    ours = gradients(c, losses[0]);
  } else {
    ours = trained(c, stepping, losses);
  }
  for (const auto& [name, t] : ours) theirs[name] = nn::to_their_layout(t);
  theirs["losses"] = from(losses, {std::ssize(losses)});
  return theirs;
}

}  // namespace
}  // namespace holt::parity

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: holt_parity CASE.json OUT.safetensors\n");
    return 2;
  }
  try {
    holt::write_safetensors(argv[2], holt::parity::run(holt::parse_json(holt::read_file(argv[1]))));
    return 0;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "holt_parity: %s\n", e.what());
    return 1;
  }
}
