// What this binary was made from: stands in every log, checkpoint and result.
#pragma once
#include <string>

namespace holt {

struct BuildInfo {
  std::string version;             ///< "0.1.0"
  std::string commit;              ///< "a1b2c3d4e5f6", with "-dirty" for uncommitted changes; "unknown" outside git
  std::string compiler;            ///< "GNU 12.2.0"
  std::string flags;               ///< "Release -O3 -march=native"
  std::string cuda_version;        ///< of the toolkit; empty without CUDA
  std::string cuda_architectures;  ///< "80;90"; empty without CUDA
};
const BuildInfo& build_info();

}  // namespace holt
