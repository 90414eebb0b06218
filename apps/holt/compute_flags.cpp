#include <omp.h>

#include <cstdio>

#include "apps/holt/commands.h"
#include "core/autocast.h"

namespace holt::app {
namespace {

CLI::Validator device_name() {
  return {[](std::string& text) -> std::string {
            const bool indexed = text.starts_with("cuda:") && text.size() > 5 && text.size() < 8 &&
                                 text.find_first_not_of("0123456789", 5) == std::string::npos;
            return indexed || text == "cpu" || text == "simt" || text == "cuda"
                       ? ""
                       : "expected cpu, simt, cuda or cuda:N, got '" + text + "'";
          },
          ""};
}

}  // namespace

void add_compute_flags(CLI::App& command, ComputeFlags& flags) {
  command
      .add_option("--device", flags.device,
                  "cpu; cuda or cuda:N, a GPU; simt, a GPU emulated on the cpu, for study and tests: very slow")
      ->type_name("NAME")
      ->group("Device")
      ->check(device_name())
      ->capture_default_str();
  command
      .add_option(
          "--precision", flags.precision,
          "Of products and convolutions: f32; bf16, twice as fast where the processor has it; f16. Weights stay "
          "f32")
      ->type_name("DTYPE")
      ->group("Device")
      ->check(one_of({"f32", "bf16", "f16"}))
      ->capture_default_str();
  command.add_option("--threads", flags.threads, "Threads of the cpu; 0: one for each core")
      ->type_name("N")
      ->group("Device")
      ->check(integer(0))
      ->capture_default_str();
}

void apply(const ComputeFlags& flags) {
  if (const DType t = parse_dtype(flags.precision); flags.device == "cpu" && !computes_natively(Device::cpu, t))
    std::fprintf(stderr, "holt: note: this processor has no %s products; they are widened to f32, which is slower\n",
                 flags.precision.c_str());
  if (flags.threads > 0) omp_set_num_threads(static_cast<int>(std::min<int64_t>(flags.threads, 1024)));
}

}  // namespace holt::app
