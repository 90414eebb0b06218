// What each benchmark's published or documented protocol fixes: network, source training, split, and the options of
// the adaptation. Starting points: every number can be set, and stands in each result.
#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "transfer/options.h"

namespace holt::transfer {

/// Training of the source model: SGD with Nesterov momentum 0.9 on a cosine schedule.
struct SourceTraining {
  std::string model = "resnet8:stem_stride=2";
  std::string weights = {};  ///< file of pretrained weights to start from (nn/weights/weights.h); "": drawn
  int64_t epochs = 8, batch = 128;
  double lr = 0.1, weight_decay = 5e-4;
  bool flip = false;  ///< mirror images at random
  int64_t pad = 0;    ///< shift them at random by up to this many pixels
  uint64_t seed = 0;
  /// Threads; 0: all. One for small networks: their layers are over before a second thread has begun, and on a busy
  /// machine the two wait for each other (measured: five times slower). Results then depend on no machine's cores.
  int64_t threads = 1;
};
void to_json(nlohmann::json& j, const SourceTraining& s);

struct Recipe {
  SourceTraining source = {};
  std::string split = "random";
  Options options = {};
  std::string protocol;  ///< one line: where the numbers come from
};

/// The recipe of a benchmark; for one without its own, that of small images.
Recipe recipe_for(const std::string& benchmark);

}  // namespace holt::transfer
