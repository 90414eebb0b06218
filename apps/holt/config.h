// What determines the result of a training run. Stands in its checkpoint; a resumed run must agree with it.
#pragma once
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace holt::app {

struct TrainConfig {
  std::string data = "fashion";
  int64_t limit_train = 0, limit_test = 0;  ///< first samples to use; 0: all
  std::string model = "resnet8";            ///< with options: "resnet8:shortcut=B"
  std::string weights = "";                 ///< file of pretrained weights to start from; "": drawn
  std::string freeze = "";                  ///< patterns of parameters that stay as they are
  int64_t epochs = 7;
  int64_t max_steps = 0;  ///< ends the run earlier, and is where the schedule ends; 0: epochs alone decide
  int64_t batch = 128;
  std::string optimizer = "sgd";
  double lr = 0.1;
  double momentum = 0.9;       ///< sgd, with Nesterov's correction
  double weight_decay = 5e-4;  ///< of weights with more than one axis
  std::string schedule = "cosine";
  double warmup = 0.1;  ///< part of all steps in which the learning rate rises
  double label_smoothing = 0;
  int64_t image_size = 0;         ///< side of the images of `folder`; 0: 224
  bool skip_corrupt = false;      ///< leave out images of `folder` that cannot be read
  std::string augment = "light";  ///< a preset of data/augment.h, of which:
  int64_t pad = 0;                ///< random shifts by up to this many pixels
  bool flip = true;               ///< random mirror images, if the preset has them
  double mixup = 0, cutmix = 0;   ///< α of data/mix.h
  uint64_t seed = 0;
  std::string precision = "f32";  ///< of the network's arithmetic: f32, bf16, f16
};

void to_json(nlohmann::json& j, const TrainConfig& c);
/// Every member must be there; nlohmann's exception names one that is not.
void from_json(const nlohmann::json& j, TrainConfig& c);

}  // namespace holt::app
