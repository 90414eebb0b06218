// holt predict: what a model says about images.
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>

#include "apps/holt/commands.h"
#include "apps/holt/model_file.h"
#include "core/autocast.h"
#include "core/inference.h"
#include "core/json.h"
#include "data/image_files.h"
#include "data/listing.h"
#include "kernels/error.h"
#include "kernels/file.h"

namespace holt::app {
namespace {

namespace fs = std::filesystem;
constexpr size_t kChunk = 256;  // images in memory at a time

struct PredictFlags {
  std::string model = "runs/fashion-resnet8", list, fit;
  std::vector<std::string> images;
  int64_t top = 5;
  bool json = false, no_calibration = false;
  ComputeFlags compute;
};

void walk(const fs::path& folder, std::vector<std::string>& files) {
  const data::Listing l = data::list_folder("predict", folder);
  for (const std::string& f : l.files)
    if (data::has_image_name(f)) files.push_back((folder / f).string());
  for (const std::string& f : l.folders)
    if (!fs::is_symlink(folder / f)) walk(folder / f, files);  // a link could lead in circles
}

std::vector<std::string> image_paths(const PredictFlags& f) {
  std::vector<std::string> files;
  for (const std::string& name : f.images) {
    std::error_code ignored;
    if (!fs::is_directory(name, ignored)) {
      files.push_back(name);
      continue;
    }
    const size_t before = files.size();
    walk(name, files);
    check(files.size() > before, "predict: there are no images in {}", name);
  }
  if (!f.list.empty()) {
    const std::string text =
        f.list == "-" ? std::string(std::istreambuf_iterator<char>(std::cin), {}) : read_file(f.list);
    for (const std::string& line : lines_of(text)) files.push_back(line);
  }
  check(!files.empty(), "predict: name images, a folder of them, or a list (--list)");
  return files;
}

void print(const nlohmann::ordered_json& line) { std::puts(json_text(line, -1, NotUtf8::replace).c_str()); }

class Printer {
 public:
  Printer(const PredictFlags& flags, const std::vector<std::string>& classes, const std::vector<std::string>& files)
      : json_(flags.json), classes_(classes) {
    for (const std::string& c : classes) class_width_ = std::max(class_width_, columns(c));
    for (const std::string& f : files) file_width_ = std::max(file_width_, columns(f));
    class_width_ = std::min<size_t>(class_width_, 24);
    file_width_ = std::min<size_t>(file_width_, 60);
  }
  void prediction(const std::string& file, const std::vector<transfer::Guess>& guesses) const {
    if (json_) {
      nlohmann::ordered_json list = nlohmann::ordered_json::array();
      for (const auto& [label, probability] : guesses)
        list.push_back({{"class", classes_[label]}, {"probability", probability}});
      return print({{"image", file}, {"predictions", list}});
    }
    std::string line = padded(file, file_width_);
    for (const auto& [label, probability] : guesses)
      line += "  " + padded(classes_[label], class_width_) + format(" {:5.1f} %", 100 * probability);
    std::puts(line.c_str());
  }
  void error(const std::string& file, const std::string& what) const {
    std::fflush(stdout);
    std::fprintf(stderr, "holt: %s\n", what.c_str());
    if (json_) print({{"image", file}, {"error", what}});
  }

 private:
  bool json_;
  const std::vector<std::string>& classes_;
  size_t class_width_ = 0, file_width_ = 0;
};

int predict_images(const PredictFlags& f) {
  const Device device = parse_device(f.compute.device);
  transfer::LoadedClassifier loaded = load_for_use(model_file("predict", f.model), device);
  if (f.no_calibration) loaded.classifier.gamma = 0;
  const std::vector<std::string> files = image_paths(f);
  data::Frame frame = transfer::input_frame(loaded);
  if (!f.fit.empty()) frame.fit = data::parse_fit(f.fit);

  const Autocast scope(parse_dtype(f.compute.precision));
  const Inference weights_stay;
  const Printer printer(f, loaded.usage.classes, files);
  size_t failed = 0;
  for (size_t begin = 0; begin < files.size(); begin += kChunk) {
    const size_t end = std::min(files.size(), begin + kChunk);
    std::vector<data::ImageFile> chunk;
    for (size_t i = begin; i < end; ++i) chunk.push_back({files[i], 0});
    std::vector<data::Unreadable> unreadable;
    const data::Dataset images =
        data::load_image_files("predict", chunk, loaded.usage.classes,
                               {.frame = frame, .skip_corrupt = true, .size_flag = "", .unreadable = &unreadable});
    std::vector<std::vector<transfer::Guess>> guesses;
    if (images.size() > 0)
      guesses = transfer::predict(loaded.classifier, images, {loaded.usage.mean, loaded.usage.std}, device, f.top);
    auto fault = unreadable.begin();
    auto guess = guesses.begin();
    for (size_t i = 0; i < chunk.size(); ++i) {
      if (fault != unreadable.end() && fault->index == i)
        printer.error(chunk[i].path, fault++->text);
      else
        printer.prediction(chunk[i].path, *guess++);
    }
    failed += unreadable.size();
  }
  if (failed == 0) return kOk;
  std::fprintf(stderr, "holt: %zu of %zu images could not be read\n", failed, files.size());
  return kError;
}

}  // namespace

void add_predict(CLI::App& program, Action& action) {
  CLI::App* c = program.add_subcommand("predict", "Say what images show: the likeliest classes with probabilities");
  auto f = std::make_shared<PredictFlags>();
  const AddOption add(*c);
  c->add_option("IMAGE", f->images, "Images, JPEG or PNG, and folders of them")->type_name("")->group("Images");
  add("Images", "--list", f->list, "FILE", "File with a path on each line; - for standard input", {});
  add("Images", "--fit", f->fit, "MODE", "How images come to the model's size: crop or whole [as it was adapted]",
      one_of({"crop", "whole"}));
  add("Model", "--model", f->model, "FILE", "Model of holt adapt or holt train, or the run folder that holds it", {});
  c->add_flag("--no-calibration", f->no_calibration, "Leave out γ, which holt adapt may have chosen")->group("Model");
  add_compute_flags(*c, f->compute);
  add("Output", "--top", f->top, "N", "How many classes of each image", integer(1));
  c->add_flag("--json", f->json, "Print one line of JSON for each image")->group("Output");
  c->get_option("IMAGE")->take_all();
  c->footer(
      "Images that cannot be read are named, the others go on, and the exit code is 1.\n"
      "\n"
      "Examples:\n"
      "  holt predict --model adapted.safetensors new/*.jpg\n"
      "  holt predict --model adapted.safetensors new --top 1\n"
      "  find new -name '*.png' | holt predict --model adapted.safetensors --list - --json | jq .predictions[0]");
  c->callback([f, &action] {
    action = [f] {
      apply(f->compute);
      return predict_images(*f);
    };
  });
}

}  // namespace holt::app
