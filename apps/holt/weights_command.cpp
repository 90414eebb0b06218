// holt weights: what is in a file of weights, and the same weights under other names.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "apps/holt/commands.h"
#include "apps/holt/output_file.h"
#include "apps/holt/pretrained.h"
#include "core/file_lock.h"
#include "core/json.h"
#include "core/nearest.h"
#include "kernels/error.h"

namespace holt::app {
namespace {

struct WeightsFlags {
  std::string action, file, to, out, model, classes, normalize;
  int64_t image_size = 0;
  bool json = false, overwrite = false;
};

void say(const std::string& line) { std::puts(line.c_str()); }

std::string size_text(size_t bytes) {
  const auto n = static_cast<double>(bytes);
  return bytes < 1000        ? format("{} B", bytes)
         : bytes < 1'000'000 ? format("{:.1f} kB", n * 1e-3)
                             : format("{:.1f} MB", n * 1e-6);
}

std::string shape_text(const Shape& s) {
  std::string text;
  for (const int64_t n : s) text += (text.empty() ? "" : "×") + std::to_string(n);
  return text.empty() ? "scalar" : text;
}

int64_t parameters_in(const nn::WeightFile& file) {
  int64_t n = 0;
  for (const auto& [name, t] : file.tensors)
    if (is_float(t.dtype()) && !name.ends_with("running_mean") && !name.ends_with("running_var")) n += t.numel();
  return n;
}

size_t bytes_in(const nn::WeightFile& file) {
  size_t n = 0;
  for (const auto& [name, t] : file.tensors) n += t.bytes();
  return n;
}

void print_json(const nn::WeightFile& file, const std::optional<nn::Weights>& w, const std::string& why) {
  nlohmann::ordered_json j = {{"file", file.path},
                              {"format", file.format},
                              {"parameters", parameters_in(file)},
                              {"bytes", bytes_in(file)},
                              {"recognised", w.has_value()}};
  if (w) {
    j["names"] = w->scheme;
    j["family"] = w->family;
    j["model"] = w->config.name;
    j["classes"] = w->config.classes;
    j["channels"] = w->config.channels;
    j["height"] = w->config.height;
    j["width"] = w->config.width;
    j["prefix"] = w->prefix;
    j["unused"] = w->unused;
    j["unexpected"] = w->unexpected;
  } else {
    j["why"] = why;
  }
  j["metadata"] = file.metadata;
  j["tensors"] = nlohmann::ordered_json::array();
  for (const auto& [name, t] : file.tensors)
    j["tensors"].push_back({{"name", name},
                            {"dtype", to_string(t.dtype())},
                            {"shape", std::vector<int64_t>(t.shape().begin(), t.shape().end())},
                            {"bytes", t.bytes()}});
  say(json_text(j, 2, NotUtf8::replace));
}

void print_table(const nn::WeightFile& file, const std::optional<nn::Weights>& w, const std::string& why) {
  say(format("{}: {}, {} tensors, {:.2f} M parameters, {}", file.path, file.format, file.tensors.size(),
             static_cast<double>(parameters_in(file)) * 1e-6, size_text(bytes_in(file))));
  const auto line = [](const char* what, const std::string& text) { say("  " + padded(what, 11) + text); };
  if (w) {
    const nn::ModelConfig& c = w->config;
    line("names", w->scheme == "holt"                                   ? "holt's own"
                  : w->family == "resnet" && w->scheme == "torchvision" ? "torchvision (timm's are the same)"
                                                                        : w->scheme);
    line("model", c.name.empty() ? format("a {} that is none of holt's", w->family) : c.name);
    line("classes", c.classes ? std::to_string(c.classes) : "no classifier");
    line("images", format("{}×{}×{}{}", c.height, c.width, c.channels,
                          w->family == "resnet" ? ", or any other height and width" : ""));
    if (!w->prefix.empty()) line("prefix", w->prefix);
    if (!w->unused.empty()) line("unused", format("{}: {}", w->unused.size(), first_of(w->unused, 5)));
    if (!w->unexpected.empty()) line("unexpected", format("{}: {}", w->unexpected.size(), first_of(w->unexpected, 5)));
  } else {
    line("model", "not recognised: " + why);
  }
  for (const auto& [key, value] : file.metadata)
    line("metadata", format("{} = {}", key, value.size() > 60 ? value.substr(0, 60) + "…" : value));
  size_t width = 6;
  for (const auto& [name, t] : file.tensors) width = std::max(width, columns(name));
  width = std::min<size_t>(width, 70);
  say(format("\n  {}  {}  {}  size", padded("tensor", width), padded("dtype", 5), padded("shape", 16)));
  for (const auto& [name, t] : file.tensors)
    say(format("  {}  {}  {}  {}", padded(name, width), padded(to_string(t.dtype()), 5),
               padded(shape_text(t.shape()), 16), size_text(t.bytes())));
}

int inspect(const WeightsFlags& f) {
  const nn::WeightFile file = nn::read_weight_file(f.file);
  std::optional<nn::Weights> weights;
  std::string why;
  try {
    weights = nn::recognise(file);
  } catch (const Error& e) {
    why = e.message().starts_with(file.path + ": ") ? e.message().substr(file.path.size() + 2) : e.message();
  }
  (f.json ? print_json : print_table)(file, weights, why);
  return kOk;
}

int convert(const WeightsFlags& f) {
  check(!f.to.empty() && !f.out.empty(), "weights: convert needs --to and --out; 'holt weights --help' has examples");
  check_output_file("weights", f.out, f.file, "file", f.overwrite);
  const FileLock lock("weights", f.out);
  const nn::Weights weights = nn::read_weights(f.file);
  for (const std::string& name : weights.unused)
    check(
        !name.starts_with("transfer."),
        "{}: was adapted by a method with align or gate, which stand before and behind the network: convert the model "
        "that it was made of",
        f.file);
  // CLIP's towers have no classifier in others' files.
  const nn::Scheme* const names = nn::find_scheme(weights.family, f.to);
  const bool headless = names && !nn::has_classifier(*names);
  WeightsQuestion question{.model = f.model,
                           .height = f.image_size,
                           .width = f.image_size,
                           .normalize = f.normalize,
                           .classifier = !headless};
  if (!f.classes.empty()) question.classes = read_class_names(f.classes);
  const PretrainedModel loaded = load_pretrained(weights, question);
  nn::save_weights(f.out, *loaded.model, f.to, f.to == "holt" ? nn::to_metadata(loaded.usage) : Metadata{});
  for (const std::string& line : described(weights, loaded.notes)) say(line);
  say(format("wrote {}: {}, {}", f.out,
             headless ? loaded.model->config().name + "'s tower" : nn::to_string(loaded.model->config()),
             f.to == "holt" ? "holt's own names" : "names of " + f.to));
  return kOk;
}

}  // namespace

void add_weights(CLI::App& program, Action& action) {
  CLI::App* c = program.add_subcommand("weights", "Look into a file of weights, or write it under other names");
  auto f = std::make_shared<WeightsFlags>();
  const AddOption add(*c);
  add("What", "ACTION", f->action, "", "inspect or convert", one_of({"inspect", "convert"}))->required();
  add("What", "FILE", f->file, "",
      "Safetensors of torchvision, timm, Hugging Face or holt; PyTorch's .pth or .pt; a folder of Hugging Face's", {})
      ->required();
  c->add_flag("--json", f->json, "Print JSON")->group("Inspect");
  add("Convert", "--to", f->to, "NAMES", "Whose names: torchvision, timm, hf, openai (CLIP) or holt",
      one_of({"torchvision", "timm", "hf", "openai", "holt"}));
  add("Convert", "--out", f->out, "FILE", "Where it goes: .pth or .pt for PyTorch's format, else safetensors", {});
  c->add_flag("--overwrite", f->overwrite, "Replace that file, if it exists")->group("Convert");
  add("Convert", "--model", f->model, "NAME", "The model, if it cannot be guessed", {});
  add("Convert", "--image-size", f->image_size, "N", "Side of the images; 0: the file's, or 224", integer(0));
  add("Convert", "--classes", f->classes, "FILE", "The classes' names, one a line: --to holt keeps them", {});
  add("Convert", "--normalize", f->normalize, "NAME",
      "What --to holt says of pixels: imagenet or clip (their mean and deviation) or half (to −1 … 1) [imagenet for "
      "ResNets and torchvision, clip for CLIP, half for other vision transformers]",
      one_of({"imagenet", "half", "clip"}));
  c->footer(
      "Nothing in a file is run. docs/weights.md has the names.\n"
      "\n"
      "Examples:\n"
      "  holt weights inspect resnet50.pth\n"
      "  holt weights convert resnet50.pth --to holt --classes names.txt --out resnet50.safetensors\n"
      "  holt weights convert runs/mine/model.safetensors --to timm --out mine.pth");
  c->callback([f, &action] { action = [f] { return f->action == "inspect" ? inspect(*f) : convert(*f); }; });
}

}  // namespace holt::app
