// The `holt` program: finds the command, runs it, turns errors into messages and exit codes.
#include <unistd.h>

#include <cstdlib>

#include "apps/holt/commands.h"
#include "kernels/build_info.h"
#include "kernels/error.h"

namespace {

// libgomp's threads wait for each other by spinning for milliseconds. If another process takes one of their cores, the
// rest burn theirs: training was four times slower beside three busy processes. Shorter spinning is set by the
// environment alone, and read before main(): set it and start over. Whoever set anything themselves is left alone.
void spin_briefly(char** argv) {
  if (std::getenv("GOMP_SPINCOUNT") || std::getenv("OMP_WAIT_POLICY")) return;
  setenv("GOMP_SPINCOUNT", "20000", 1);
  execv("/proc/self/exe", argv);  // returns only if it cannot: then all goes on as it is
}

}  // namespace

int main(int argc, char** argv) {
  using namespace holt;
  spin_briefly(argv);
  CLI::App program("holt trains image classifiers, and adapts them to new domains from partial data.", "holt");
  program.option_defaults()->take_last();  // of an option given twice; a script's own can so be overridden
  program.require_subcommand(0, 1);        // of two words that name commands the second is an argument: holt data info
  app::Action action;
  app::add_transfer(program, action);
  app::add_adapt(program, action);
  app::add_predict(program, action);
  app::add_train(program, action);
  app::add_eval(program, action);
  app::add_data(program, action);
  app::add_bench(program, action);
  app::add_weights(program, action);
  app::add_info(program, action);
  program.set_version_flag("--version", format("holt {} ({})", build_info().version, build_info().commit),
                           "Print version and commit");
  program.footer(
      "Examples:\n"
      "  holt transfer                  every method on ten handwritings: a table and report.html, about four minutes\n"
      "  holt train                     train resnet8 on Fashion-MNIST, about two minutes\n"
      "  holt eval --model runs/fashion-resnet8\n"
      "  holt adapt --model photos.safetensors --data mine --out adapted.safetensors\n"
      "  holt predict --model adapted.safetensors new/*.jpg\n"
      "  holt weights inspect resnet50.pth\n"
      "  holt info --peaks              what this build and this machine can do\n"
      "\n"
      "holt COMMAND --help explains a command. Exit codes: 0 done, 1 failed, 2 wrong command line.");
  return app::run(program, action, argc, argv);
}
