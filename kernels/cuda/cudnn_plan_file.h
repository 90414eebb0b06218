// cuDNN's plans on disk, so that a warm start plans nothing. One text file for each kind of GPU:
//
//   holt cudnn plans 1                            the format's version
//   cudnn 9.19.0                                  plans are for the very version,
//   gpu NVIDIA H100 80GB HBM3, sm_90, 132 SMs     and the very GPU, that made them
//   <problem> TAB heuristic|timed|own TAB <engine> TAB <workspace> TAB <cuDNN's JSON, or why the own kernel runs>
//   end <number of plans> <FNV-1a of all above>   tells a file that lacks its end, or was changed
//
// A file that is not all of this is not used: a note says why, and the next plan that is made replaces it.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace holt::cudnn {

enum class Source : uint8_t {
  heuristic,  ///< the first of cuDNN's heuristics
  timed,      ///< the fastest of several on the device (HOLT_CUDNN_TIMING=1)
  own,        ///< cuDNN refuses; holt's kernel
};
std::string to_string(Source);

struct KeptPlan {
  Source source;
  std::string engine;  ///< empty for own
  int64_t workspace;
  std::string json;  ///< what load_plan() reads; for own, the reason
};

struct PlanFile {
  std::string cudnn, gpu;
  std::map<std::string, KeptPlan> plans;  ///< by to_string(Problem)
};

/// $HOLT_CACHE_DIR (empty: nothing is kept), else holt in $XDG_CACHE_HOME, else ~/.cache/holt; "" without any of them.
std::string cache_folder();
/// The file for a GPU in cache_folder(); "" without a folder.
std::string plan_path(const std::string& gpu);

/// The plans in `path` for this cuDNN and GPU; none if there is no such file. Never throws: what cannot be used is
/// left alone, with a note on stderr.
std::map<std::string, KeptPlan> read_plans(const std::string& path, const std::string& cudnn, const std::string& gpu);

/// Replaces the file atomically by `file` and those plans of an earlier one for the same cuDNN and GPU that `file`
/// lacks (another process may have made them). Makes the folder. Throws Error with path and reason.
void write_plans(const std::string& path, PlanFile file);

/// What stands in cache_folder(): path and content; the content is empty, with the reason in `gpu`, where it is
/// unusable.
std::vector<std::pair<std::string, PlanFile>> all_plan_files();

}  // namespace holt::cudnn
