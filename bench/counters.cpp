// holt_counters: what the rungs of an op family ask of the memory system, counted on the emulated GPU
// (docs/simt.md, "The counters"). Prints Markdown.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "bench/counted_cases.h"

namespace holt::bench {
namespace {

struct Flags {
  std::vector<std::string> families;
  std::string text, rung;
  bool lines = false;
};

std::vector<test::Case> chosen_cases(const test::CaseFamily& family, const Flags& flags) {
  std::vector<test::Case> cases;
  const auto all = flags.text.empty() ? study_cases(family) : family.cases(test::Scope::study);
  for (const test::Case& c : all)
    if (c.dtype != DType::f64 &&
        fmt::format("{} {} {}", c.op, c.shape, to_string(c.dtype)).find(flags.text) != std::string::npos)
      cases.push_back(c);
  return cases;
}

void print_family(const test::CaseFamily& family, const Flags& flags) {
  if (!flags.lines) fmt::print("{}", kRungHeader);
  for (const test::Case& c : chosen_cases(family, flags))
    for (std::string_view rung : test::rungs_on(c, Device::simt)) {
      if (!flags.rung.empty() && rung != flags.rung) continue;
      const auto kernels = count_case(c, rung);
      if (flags.lines)
        fmt::print("{} {} {} {}\n\n{}{}\n", c.op, c.shape, to_string(c.dtype), rung, kLineHeader, line_rows(kernels));
      else
        fmt::print("{}", rung_row(c, rung, kernels));
      std::fflush(stdout);
    }
  if (!flags.lines) fmt::print("\n");
}

int run(int argc, char** argv) {
  CLI::App app("Counts what the kernels of op families ask of the memory system, on the emulated GPU.");
  Flags flags;
  std::string known;
  for (const test::CaseFamily* f : test::families()) known += (known.empty() ? "" : ", ") + f->name;
  app.add_option("family", flags.families, "Op families (all): " + known);
  app.add_option("--case", flags.text,
                 "Every case whose op, shape and dtype contain this; else the largest of each op and dtype");
  app.add_option("--rung", flags.rung, "Only this rung");
  app.add_flag("--lines", flags.lines, "Each source line's requests, in place of one line a rung");
  CLI11_PARSE(app, argc, argv);
  for (const std::string& name : flags.families) {
    bool found = false;
    for (const test::CaseFamily* f : test::families()) found |= f->name == name;
    check(found, "holt_counters: no op family '{}'; there are {}", name, known);
  }
  for (const test::CaseFamily* f : test::families())
    if (flags.families.empty() ||
        std::find(flags.families.begin(), flags.families.end(), f->name) != flags.families.end())
      print_family(*f, flags);
  return 0;
}

}  // namespace
}  // namespace holt::bench

int main(int argc, char** argv) {
  try {
    return holt::bench::run(argc, argv);
  } catch (const std::exception& e) {
    fmt::print(stderr, "{}\n", e.what());
    return 1;
  }
}
