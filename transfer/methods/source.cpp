// No adaptation: the source model as it is.
#include "transfer/method.h"

namespace holt::transfer::methods {
namespace {

class Source : public Part {};  // trains nothing

}  // namespace

MethodEntry source() {
  return {.name = "source",
          .description = "the source model, not adapted",
          .source = "",
          .role = Role::trainer,
          .make = [] { return std::make_unique<Source>(); },
          .steps = [](const Options&) { return int64_t{0}; },
          .excludes = {"frozen-classifier", "frozen-bn", "seen-softmax", "distill", "lwf", "rank", "l2sp", "wise"}};
}

}  // namespace holt::transfer::methods
