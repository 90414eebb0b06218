// holt transfer: the flags.
#include <algorithm>
#include <sstream>

#include "apps/holt/commands.h"
#include "apps/holt/transfer_run.h"
#include "kernels/error.h"

namespace holt::app {
namespace {

struct TransferFlags {
  TransferOptions options;
  ComputeFlags compute;
  std::string targets = "all", methods = "all", seeds = "1", select = "none", calibrate = "alg,best";
  std::string model, weights, split;
  int64_t source_epochs = 0, source_seed = 0, source_threads = -1;
  double source_lr = 0;
  bool list_methods = false, list_options = false;
};

std::vector<std::string> words(const std::string& list) {
  std::istringstream in(list);
  std::vector<std::string> result;
  for (std::string word; std::getline(in, word, ',');)
    if (!word.empty()) result.push_back(word);
  return result;
}

// "3" → 0, 1, 2; "1,5" → 1, 5.
std::vector<uint64_t> parse_seeds(const std::string& text) {
  std::vector<uint64_t> seeds;
  for (const std::string& word : words(text)) {
    check(word.find_first_not_of("0123456789") == std::string::npos && word.size() < 19,
          "transfer: --seeds takes a number of seeds, or a list such as 0,1,5; not '{}'", text);
    seeds.push_back(std::stoull(word));
  }
  check(!seeds.empty(), "transfer: --seeds is empty");
  if (text.find(',') != std::string::npos) return seeds;
  check(seeds[0] >= 1 && seeds[0] <= 10000, "transfer: --seeds must be 1 … 10000, got {}", seeds[0]);
  std::vector<uint64_t> range(seeds[0]);
  for (uint64_t i = 0; i < seeds[0]; ++i) range[i] = i;
  return range;
}

std::vector<std::string> benchmark_names() {
  std::vector<std::string> names;
  for (const data::BenchmarkEntry& b : data::benchmarks()) names.push_back(b.name);
  return names;
}

std::vector<std::string> expand_methods(const std::string& list) {
  std::vector<std::string> methods;
  for (const std::string& word : words(list))
    if (word == "all")
      methods.insert(methods.end(), transfer::standard_methods().begin(), transfer::standard_methods().end());
    else
      methods.push_back(word);
  std::vector<std::string> once;
  for (const std::string& m : methods)
    if (std::find(once.begin(), once.end(), m) == once.end()) once.push_back(m);
  return once;
}

// The recipe of the data, changed by what was given.
transfer::Plan make_plan(const TransferFlags& f, const CLI::App& command) {
  transfer::Plan p = f.options.plan;
  const transfer::Recipe recipe = transfer::recipe_for(p.data);
  p.training = recipe.source;
  p.options = recipe.options;
  p.split = f.split.empty() ? recipe.split : f.split;
  if (!f.model.empty()) p.training.model = f.model;
  p.training.weights = f.weights;
  if (f.source_epochs > 0) p.training.epochs = f.source_epochs;
  if (f.source_lr > 0) p.training.lr = f.source_lr;
  p.training.seed = static_cast<uint64_t>(f.source_seed);
  if (f.source_threads >= 0) p.training.threads = f.source_threads;
  p.targets = f.targets == "all" ? std::vector<std::string>{} : words(f.targets);
  p.methods = expand_methods(f.methods);
  p.seeds = parse_seeds(f.seeds);
  p.selection = transfer::parse_selection(f.select);
  p.calibrations = words(f.calibrate);
  for (const std::string& name : p.calibrations)
    check(name == "alg" || name == "pcv" || name == "best", "transfer: --calibrate knows alg, pcv and best, not '{}'",
          name);
  p.device = parse_device(f.compute.device);
  p.precision = parse_dtype(f.compute.precision);
  if (command.count("--out") == 0) p.out = "runs/transfer-" + p.data;
  if (command.count("--cache") == 0) p.cache = "runs/sources";
  return p;
}

}  // namespace

void add_transfer(CLI::App& program, Action& action) {
  CLI::App* c = program.add_subcommand("transfer", "Compare methods on partial target data: tables and a report");
  auto f = std::make_shared<TransferFlags>();
  transfer::Plan& p = f->options.plan;
  p.data = "glyphs";
  const AddOption add(*c);

  add("Task", "--data", p.data, "NAME", "Benchmark; 'holt data list' shows them", one_of(benchmark_names()));
  add("Task", "--data-dir", p.benchmark.folder, "DIR", "Folder with its files, if it needs one", {});
  add("Task", "--image-size", p.benchmark.image_size, "N", "Side of the images in pixels; 0: the benchmark's own",
      integer(0));
  add("Task", "--source", p.source, "DOMAIN", "Domain of the source model [the benchmark's own]", {});
  add("Task", "--target", f->targets, "DOMAIN,…|all", "Domains to transfer to", {});
  add("Task", "--split", f->split, "SPLIT",
      "Which classes the target data holds: random, random:N, random:P%, first-half, last-half, even, odd, present, "
      "classes:a,b,…, file:PATH [the benchmark's own]",
      {});
  add("Task", "--limit", p.limit, "N", "Use the first N images of each class only; 0: all", integer(0));

  add("Methods", "--methods", f->methods, "NAME,…|all", "Methods; parts are joined by +: frozen-classifier+lolsgd", {});
  add("Methods", "--seeds", f->seeds, "N|a,b,…", "How many seeds, or which; a seed draws the split and the batches",
      {});
  c->add_option("--set", p.sets, "Sets an option: lr=0.01; for one method alone: sgd:lr=0.01. May be repeated")
      ->type_name("NAME=VALUE")
      ->group("Methods")
      ->take_all();
  add("Methods", "--select", f->select, "MODE",
      "How hyperparameters are chosen: none (as given), pcv (pseudo-partial cross-validation on the seen classes), "
      "oracle (by test accuracy: results are marked)",
      one_of({"none", "pcv", "oracle"}));
  add("Methods", "--calibrate", f->calibrate, "alg,pcv,best", "Ways to choose γ; pcv trains twice more for each job",
      {});
  c->add_flag("--list-methods", f->list_methods, "Print the methods and their sources, then end")->group("Methods");
  c->add_flag("--list-options", f->list_options, "Print the options of --set with the benchmark's values, then end")
      ->group("Methods");

  CLI::Option* const given =
      add("Source model", "--source-model", p.source_model, "FILE", "Use this model (holt train, an earlier run)", {});
  add("Source model", "--model", f->model, "NAME", "Network to train on the source domain [the benchmark's own]", {});
  add("Source model", "--weights", f->weights, "FILE",
      "Start its training from pretrained weights: safetensors or .pth with names of torchvision, timm or Hugging Face",
      {})
      ->excludes(given);
  add("Source model", "--source-epochs", f->source_epochs, "N", "Epochs of source training [the benchmark's own]",
      integer(1))
      ->default_str("");
  add("Source model", "--source-lr", f->source_lr, "X", "Its learning rate [the benchmark's own]", number(0, true))
      ->default_str("");
  add("Source model", "--source-seed", f->source_seed, "N", "Its seed", integer(0));
  add("Source model", "--source-threads", f->source_threads, "N",
      "Threads that train it; 0: all. Small networks are faster with one [the benchmark's own]", integer(0))
      ->default_str("");
  add("Source model", "--cache", p.cache, "DIR", "Folder in which source models are kept [runs/sources]", {});

  add_compute_flags(*c, f->compute);
  add("Device", "--workers", f->options.workers, "N", "Jobs side by side, one core each; 0: one for each core",
      integer(0));
  add("Device", "--local-workers", p.local_workers, "N", "Threads for LOLSGD's locals within a job", integer(1));

  add("Results", "--out", p.out, "DIR", "Folder for results.jsonl, tables and report.html [runs/transfer-DATA]", {});
  c->add_flag("--force", p.force, "Do finished jobs again")->group("Results");
  c->add_flag("--plain", f->options.plain, "Plain lines instead of a progress line, as when the output is a file")
      ->group("Results");
  c->footer(
      "Every finished job is recorded at once; the same command after Ctrl-C or a crash goes on where it stopped.\n"
      "\n"
      "Examples:\n"
      "  holt transfer                                        all methods, ten handwritings of the glyphs benchmark\n"
      "  holt transfer --data fashion --seeds 3\n"
      "  holt transfer --methods sgd,holt --target Breip --set steps=200\n"
      "  holt transfer --data folder --data-dir OfficeHome --source Art --target Clipart --split random:30");

  c->callback([f, c, &action] {
    action = [f, c] {
      apply(f->compute);
      TransferOptions o = f->options;
      o.plan = make_plan(*f, *c);
      if (f->list_methods) return list_methods();
      if (f->list_options) return list_options(o.plan.options);
      return run_transfer(o);
    };
  });
}

}  // namespace holt::app
