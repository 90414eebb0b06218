#include "kernels/build_info.h"

#include "commit.h"
#include "configuration.h"

namespace holt {

const BuildInfo& build_info() {
  static const BuildInfo info{HOLT_VERSION, HOLT_COMMIT,       HOLT_COMPILER,
                              HOLT_FLAGS,   HOLT_CUDA_VERSION, HOLT_CUDA_ARCHITECTURES};
  return info;
}

}  // namespace holt
