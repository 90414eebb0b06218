// holt data: which benchmarks there are, what is in one, and what its images look like.
#include <cstdio>
#include <filesystem>
#include <set>

#include "apps/holt/commands.h"
#include "data/benchmark.h"
#include "data/contact_sheet.h"
#include "kernels/error.h"

namespace holt::app {
namespace {

using data::Benchmark, data::BenchmarkEntry, data::Part;

struct DataFlags {
  std::string action = "list", name, source, target, out;
  data::BenchmarkOptions options;
  int64_t seed = 0, images = 8, classes = 100;
};

void print(const std::string& line) { std::puts(line.c_str()); }

// "a, b, c" in lines of at most 100 columns, indented.
std::string listed(const std::vector<std::string>& words, size_t indent) {
  std::string out;
  size_t column = indent;
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string word = words[i] + (i + 1 < words.size() ? "," : "");
    if (i > 0 && column + 1 + columns(word) > 100) {
      out += "\n" + std::string(indent, ' ');
      column = indent;
    } else if (i > 0) {
      out += " ";
      ++column;
    }
    out += word;
    column += columns(word);
  }
  return out;
}

std::vector<std::string> names() {
  std::vector<std::string> all;
  for (const BenchmarkEntry& e : data::benchmarks()) all.push_back(e.name);
  return all;
}

int list() {
  for (const BenchmarkEntry& e : data::benchmarks()) {
    print(padded(e.name, 11) + e.description);
    print(std::string(11, ' ') + (e.needs.empty() ? "needs nothing: it is part of this program" : "needs " + e.needs));
  }
  print("\n'holt data info NAME' tells more of one, 'holt data preview NAME' shows its images.");
  return kOk;
}

std::string numbers(const std::vector<float>& v) {
  std::string out;
  for (const float x : v) out += (out.empty() ? "" : ", ") + format("{:.4g}", x);
  return out;
}

// "30000 (2958 – 3048 a class)", or which part of the classes is there.
std::string counts(const std::vector<int64_t>& labels, size_t classes) {
  std::vector<int64_t> of_class(classes);
  for (const int64_t label : labels) ++of_class[static_cast<size_t>(label)];
  std::erase(of_class, 0);
  if (of_class.empty()) return "none";
  const auto [low, high] = std::minmax_element(of_class.begin(), of_class.end());
  const std::string each = *low == *high ? format("{} a class", *low) : format("{} … {} a class", *low, *high);
  const std::string present = of_class.size() == classes ? "" : format(", {} of {} classes", of_class.size(), classes);
  return format("{} ({}{})", labels.size(), each, present);
}

int info(const DataFlags& f) {
  const auto b = data::open_benchmark(f.name, f.options);
  const Shape shape = b->image_shape();
  const data::Normalize n = b->normalize();
  for (const BenchmarkEntry& e : data::benchmarks())
    if (e.name == f.name) print(format("{}: {}", e.name, e.description));
  print(format("  images     {}×{}×{}", shape[0], shape[1], shape[2]));
  print(format("  normalised (x − [{}]) / [{}], pixels x in 0 … 1", numbers(n.mean), numbers(n.std)));
  print(format("  classes    {}: {}", b->classes().size(), listed(b->classes(), 13)));
  size_t width = 6;
  for (const std::string& d : b->domains()) width = std::max(width, columns(d));
  print(format("\n  {}  {}  test images", padded("domain", width), padded("training images", 36)));
  for (const std::string& d : b->domains()) {
    const auto part = [&](Part p) {
      return counts(b->labels(d, p, static_cast<uint64_t>(f.seed)), b->classes().size());
    };
    print(format("  {}  {}  {}{}", padded(d, width), padded(part(Part::train), 36), part(Part::test),
                 d == b->source() ? "  ← the source" : ""));
  }
  return kOk;
}

int preview(const DataFlags& f) {
  const auto b = data::open_benchmark(f.name, f.options);
  const std::string source = f.source.empty() ? b->source() : f.source;
  const std::vector<std::string> targets = b->targets(source);
  check(!f.target.empty() || !targets.empty(), "data: {} has no domain but {}; name one with --target", f.name, source);
  const std::string target = f.target.empty() ? targets.front() : f.target;
  const auto seed = static_cast<uint64_t>(f.seed);
  const data::ContactSheet sheet =
      data::contact_sheet(b->load(source, Part::train, seed), b->load(target, Part::train, seed), f.images, f.classes);
  const std::string out = f.out.empty() ? f.name + ".png" : f.out;
  data::write_png(out, sheet.image);
  print(format("{}: {}×{} pixels, {} and {} of {}, up to {} training images each", out, sheet.image.width,
               sheet.image.height, source, target, f.name, f.images));
  print(format("behind a blue bar {}, behind an orange one {}; a row is a class, from the top:", source, target));
  for (size_t k = 0; k < sheet.rows.size(); ++k) {
    std::vector<std::string> classes;
    for (const int64_t c : sheet.rows[k]) classes.push_back(b->classes()[static_cast<size_t>(c)]);
    print(format("  {}{}", sheet.rows.size() == 1 ? "" : format("column {}: ", k + 1),
                 listed(classes, sheet.rows.size() == 1 ? 2 : 12)));
  }
  if (std::ssize(b->classes()) > f.classes)
    print(format("  … the first {} of {} classes; --classes shows more", f.classes, b->classes().size()));
  return kOk;
}

int run_data(const DataFlags& f) {
  if (f.action == "list") return list();
  check(!f.name.empty(), "data: 'holt data {}' needs a name: {}", f.action, listed(names(), 0));
  return f.action == "info" ? info(f) : preview(f);
}

}  // namespace

void add_data(CLI::App& program, Action& action) {
  CLI::App* c = program.add_subcommand("data", "List the benchmarks, describe one, or show its images");
  auto f = std::make_shared<DataFlags>();
  const AddOption add(*c);
  add("What", "ACTION", f->action, "", "list, info or preview", one_of({"list", "info", "preview"}));
  add("What", "NAME", f->name, "", "The benchmark, for info and preview", one_of(names()));
  add("Data", "--data-dir", f->options.folder, "DIR", "Folder with its files, if it needs one", {});
  add("Data", "--image-size", f->options.image_size, "N", "Side of the images in pixels; 0: the benchmark's own",
      integer(0));
  c->add_flag("--skip-corrupt", f->options.skip_corrupt, "Leave out images that cannot be read")->group("Data");
  add("Data", "--seed", f->seed, "N", "Of splits and random images", integer(0));
  add("Preview", "--source", f->source, "DOMAIN", "Source domain, if not the usual one", {});
  add("Preview", "--target", f->target, "DOMAIN", "Target domain, if not the first one", {});
  add("Preview", "--images", f->images, "N", "Images of each class and domain", integer(1));
  add("Preview", "--classes", f->classes, "N", "Show the first N classes only", integer(1));
  add("Preview", "--out", f->out, "FILE", "Where the PNG goes; if not given, NAME.png", {});
  c->footer(
      "Examples:\n"
      "  holt data list\n"
      "  holt data info glyphs\n"
      "  holt data preview glyphs --target Breip --out breip.png\n"
      "  holt data preview folder --data-dir ~/office-home --source Art --target Clipart");
  c->callback([f, &action] { action = [f] { return run_data(*f); }; });
}

}  // namespace holt::app
