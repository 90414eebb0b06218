// holt eval: accuracy of a trained model, whole and by class.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "apps/holt/commands.h"
#include "apps/holt/model_file.h"
#include "apps/holt/pretrained.h"
#include "apps/holt/source.h"
#include "core/autocast.h"
#include "core/inference.h"
#include "core/json.h"
#include "kernels/error.h"
#include "nn/train_loop.h"

namespace holt::app {
namespace {

struct EvalFlags {
  std::string model = "runs/fashion-resnet8", weights, classes, data = "fashion", data_dir, part = "test";
  int64_t limit = 0, batch = 500;
  ComputeFlags compute;
  bool json = false, skip_corrupt = false;
};

// Loss and accuracy with the correction, the gate and γ that an adapted model has.
nn::Scores scores(const transfer::Classifier& c, data::Loader::Epoch batches, Device device) {
  const Inference scope;
  nn::Scores s;
  while (const auto batch = batches.next()) {
    const Tensor labels = batch->labels.to(device);
    const Tensor logits = c.calibrated(c.outputs(batch->images.to(device)).logits);
    s.add(logits, labels, cross_entropy(logits, labels).item());
  }
  return s;
}

Source load_data(const EvalFlags& f, const data::Frame& frame) {
  return load_source({.name = f.data,
                      .part = f.part == "train" ? Part::train : Part::test,
                      .folder = f.data_dir,
                      .limit = f.limit,
                      .frame = frame,
                      .skip_corrupt = f.skip_corrupt});
}

struct ModelAndData {
  transfer::LoadedClassifier model;
  Source data;
};
// Pretrained weights know neither names of classes nor, if they are a ResNet's, a size of images: those are the data's.
ModelAndData load_for_eval(const EvalFlags& f, const std::string& path, Device device) {
  if (f.weights.empty()) {
    transfer::LoadedClassifier model = load_for_use(path, device);
    const nn::ModelConfig& c = model.classifier.model->config();
    const data::Fit fit = c.height == c.width ? data::Fit::crop : data::Fit::whole;
    Source source = load_data(f, {c.height, c.width, c.channels, fit});
    return {std::move(model), std::move(source)};
  }
  Source source = load_data(f, {});
  const Shape image = source.samples->image_shape();
  transfer::LoadedClassifier model =
      use_pretrained(path,
                     {.classes = f.classes.empty() ? source.samples->classes() : read_class_names(f.classes),
                      .height = image[0],
                      .width = image[1],
                      .channels = image[2]},
                     device);
  return {std::move(model), std::move(source)};
}

int evaluate(const EvalFlags& f) {
  check(f.classes.empty() || !f.weights.empty(), "eval: --classes names the classes of --weights");
  const Device device = parse_device(f.compute.device);
  const std::string path = f.weights.empty() ? model_file("eval", f.model) : f.weights;
  const auto [loaded, source] = load_for_eval(f, path, device);
  const nn::ModelConfig& c = loaded.classifier.model->config();
  const Shape is = source.samples->image_shape(), wanted{c.height, c.width, c.channels};
  check(is == wanted, "eval: {} wants images of {}×{}×{}, those of {} are {}×{}×{}", path, c.height, c.width,
        c.channels, f.data, is[0], is[1], is[2]);
  check(source.samples->classes() == loaded.usage.classes,
        "eval: {} was trained for other classes than those of {} (its first is '{}', "
        "that of the data '{}')",
        path, f.data, loaded.usage.classes.front(), source.samples->classes().front());
  const data::Loader loader(source.samples, {.batch = f.batch, .normalize = {loaded.usage.mean, loaded.usage.std}});
  const Autocast scope(parse_dtype(f.compute.precision));
  const nn::Scores s = scores(loaded.classifier, loader.epoch(0), device);
  if (const std::string text = left_out(source); !text.empty()) std::fprintf(stderr, "%s\n", text.c_str());

  const std::vector<std::string>& names = loaded.usage.classes;
  const auto share = [&](size_t k) {
    return s.class_samples[k] ? static_cast<double>(s.class_correct[k]) / static_cast<double>(s.class_samples[k]) : 0;
  };
  if (f.json) {
    nlohmann::ordered_json by_class;
    for (size_t k = 0; k < names.size(); ++k)
      by_class[names[k]] = {{"samples", s.class_samples[k]}, {"accuracy", share(k)}};
    const nlohmann::ordered_json out = {
        {"model", path},        {"data", f.data},   {"part", f.part},           {"precision", f.compute.precision},
        {"samples", s.samples}, {"loss", s.loss()}, {"accuracy", s.accuracy()}, {"classes", by_class}};
    std::puts(json_text(out, 2).c_str());
    return kOk;
  }
  std::puts(format("{}\n{} on {} ({}), {} images: accuracy {:.2f} %, loss {:.4f}\n", path, nn::to_string(c), f.data,
                   f.part, s.samples, 100 * s.accuracy(), s.loss())
                .c_str());
  for (size_t k = 0; k < names.size(); ++k)
    std::puts((format("  {:<14}", names[k]) + (s.class_samples[k]
                                                   ? format("{:6.2f} % of {}", 100 * share(k), s.class_samples[k])
                                                   : std::string("     no images")))
                  .c_str());
  return kOk;
}

}  // namespace

void add_eval(CLI::App& program, Action& action) {
  CLI::App* c = program.add_subcommand("eval", "Measure a trained or adapted model's accuracy");
  auto f = std::make_shared<EvalFlags>();
  const AddOption add(*c);
  add("Model", "--model", f->model, "FILE", "Model or checkpoint, or the run folder that holds it", {});
  add("Model", "--weights", f->weights, "FILE",
      "Pretrained weights instead: safetensors or .pth with names of torchvision, timm or Hugging Face", {});
  add("Model", "--classes", f->classes, "FILE", "Names of their classes, one a line [the data's]", {});
  add("Data", "--data", f->data, "NAME", source_help(), one_of(source_names()));
  add("Data", "--data-dir", f->data_dir, "DIR", "Folder with its files, if not where the package puts them", {});
  add("Data", "--part", f->part, "NAME", "test or train", one_of({"test", "train"}));
  add("Data", "--limit", f->limit, "N", "Use the first N images only; 0: all", integer(0));
  c->add_flag("--skip-corrupt", f->skip_corrupt, "Leave out images that cannot be read, and list them")->group("Data");
  add("Data", "--batch", f->batch, "N", "Images at a time", integer(1));
  add_compute_flags(*c, f->compute);
  c->add_flag("--json", f->json, "Print JSON")->group("Output");
  c->footer(
      "Examples:\n"
      "  holt eval\n"
      "  holt eval --model runs/deep/model.safetensors --part train\n"
      "  holt eval --model runs/deep --json | jq .accuracy");
  c->callback([f, &action] {
    action = [f] {
      apply(f->compute);
      return evaluate(*f);
    };
  });
}

}  // namespace holt::app
