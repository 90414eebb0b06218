// holt info: what this build is, and what this machine gives it.
#include <fmt/core.h>
#include <omp.h>
#include <oneapi/dnnl/dnnl.h>
#include <zlib.h>
#include <boost/version.hpp>
#include <nlohmann/json.hpp>

#include <cstdio>
#include <fstream>

#include "apps/holt/commands.h"
#include "kernels/build_info.h"
#include "kernels/cuda/cublaslt.h"
#include "kernels/cuda/cudnn.h"
#include "kernels/cuda/cudnn_plan_file.h"
#include "kernels/error.h"
#include "kernels/peaks.h"
#include "kernels/stream.h"

namespace holt::app {
namespace {

std::string cpu_field(const std::string& name) {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with(name) && line.find(": ") != std::string::npos) return line.substr(line.find(": ") + 2);
  return "unknown";
}

// The vector instructions that matter here, of those that the processor has.
std::string instruction_sets() {
  const std::string flags = " " + cpu_field("flags") + " ";
  std::string out;
  for (const char* name : {"avx2", "fma", "f16c", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_bf16"})
    if (flags.find(" " + std::string(name) + " ") != std::string::npos)
      out += (out.empty() ? "" : " ") + std::string(name);
  return out.empty() ? "none beyond SSE2" : out;
}

std::string compiled_for() {
#if defined(__AVX512BF16__)
  return "AVX-512 with bf16";
#elif defined(__AVX512F__)
  return "AVX-512";
#elif defined(__AVX2__)
  return "AVX2";
#elif defined(__x86_64__)
  return "SSE2: any x86-64";
#else
  return "this architecture's baseline";
#endif
}

void line(const char* name, const std::string& text) { std::puts(format("  {:<14}{}", name, text).c_str()); }

// The shapes that cuDNN was asked for, in the files that hold its plans.
int plans() {
  if constexpr (!cudnn::kBuilt) {
    std::puts("cuDNN is not in this build, so there are no plans of it");
  } else {
    const std::string folder = cudnn::cache_folder();
    const auto files = cudnn::all_plan_files();
    if (files.empty())
      std::puts(
          format("no plans of cuDNN in {}", folder.empty() ? "any folder: HOLT_CACHE_DIR is empty" : folder).c_str());
    for (const auto& [path, file] : files) {
      if (file.cudnn.empty()) {
        std::puts(format("{} is not used: {}", path, file.gpu).c_str());
        continue;
      }
      std::puts(format("{}: cuDNN {}, {}", path, file.cudnn, file.gpu).c_str());
      for (const auto& [problem, p] : file.plans)
        std::puts(format("  {:<10}{:>9.1f} MB  {}  {}", p.source, static_cast<double>(p.workspace) * 1e-6, problem,
                         p.source == cudnn::Source::own ? "(" + p.json + ")" : p.engine)
                      .c_str());
    }
  }
  return kOk;
}

int info(bool peaks) {
  const BuildInfo& b = build_info();
  std::puts(format("holt {} ({})", b.version, b.commit).c_str());
  line("compiler", b.compiler);
  line("flags", b.flags);
  line("compiled for", compiled_for());

  std::puts("\nDevices");
  line("cpu", format("{}, {} threads, {}", cpu_field("model name"), omp_get_max_threads(), instruction_sets()));
  line("simt", "a GPU emulated on the cpu, always there");
  const int gpus = cuda_device_count();
  if (gpus == 0) line("cuda", "none: " + cuda_missing_reason());
  for (int i = 0; i < gpus; ++i) line(format("cuda:{}", i).c_str(), "usable");

  std::puts("\nLibraries");
  const dnnl_version_t* dnnl = dnnl_version();
  line("oneDNN", format("{}.{}.{}", dnnl->major, dnnl->minor, dnnl->patch));
  line("CUDA",
       b.cuda_version.empty() ? "not in this build" : format("{}, for {}", b.cuda_version, b.cuda_architectures));
  if constexpr (kHasCuda) line("cuBLASLt", cuda::cublaslt::version());
  if constexpr (cudnn::kBuilt)
    line("cuDNN", cudnn::library_text());
  else if constexpr (kHasCuda)
    line("cuDNN", "not in this build: convolutions run on holt's own kernels");
  line("Boost", format("{}.{}.{}", BOOST_VERSION / 100000, BOOST_VERSION / 100 % 1000, BOOST_VERSION % 100));
  line("fmt", format("{}.{}.{}", FMT_VERSION / 10000, FMT_VERSION / 100 % 100, FMT_VERSION % 100));
  line("zlib", zlibVersion());
  line("JSON", format("nlohmann {}.{}.{}", NLOHMANN_JSON_VERSION_MAJOR, NLOHMANN_JSON_VERSION_MINOR,
                      NLOHMANN_JSON_VERSION_PATCH));
  line("CLI11", CLI11_VERSION);

  if (peaks) {
    const Peaks p = measure_peaks();
    std::puts(format("\nMeasured peaks, {} threads", p.threads).c_str());
    line("f32 FMA", format("{:.0f} GFLOP/s", p.f32_gflops));
    line("bf16 dot", p.bf16_gflops > 0 ? format("{:.0f} GFLOP/s", p.bf16_gflops) : "this build has no AVX512_BF16");
    line("copy", format("{:.1f} GB/s read and written, {:.0f} MiB each", p.copy_gbytes, p.copy_mib));
  }
  return kOk;
}

}  // namespace

void add_info(CLI::App& program, Action& action) {
  CLI::App* c = program.add_subcommand("info", "Show build, devices, libraries and the machine's peaks");
  auto peaks = std::make_shared<bool>(false), plan_list = std::make_shared<bool>(false);
  c->add_flag("--peaks", *peaks, "Measure peak arithmetic and copy bandwidth too, about two seconds")->group("Output");
  c->add_flag(
       "--plans", *plan_list,
       "List instead which engine of cuDNN each shape of a convolution got: how it was chosen (heuristic, timed, or "
       "own: cuDNN refuses), its workspace, the shape, the engine")
      ->group("Output");
  c->footer("Examples:\n  holt info\n  holt info --peaks\n  holt info --plans");
  c->callback([=, &action] { action = [=] { return *plan_list ? plans() : info(*peaks); }; });
}

}  // namespace holt::app
