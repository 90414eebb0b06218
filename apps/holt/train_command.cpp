// holt train: the flags.
#include <nlohmann/json.hpp>

#include "apps/holt/commands.h"
#include "apps/holt/source.h"
#include "apps/holt/train.h"
#include "core/json.h"
#include "kernels/error.h"
#include "nn/models/registry.h"

namespace holt::app {
namespace {

using Json = nlohmann::json;

struct TrainFlags {
  TrainOptions options;
  ComputeFlags compute;
  CLI::Option *lr = nullptr, *weight_decay = nullptr, *augment = nullptr;
  std::vector<std::pair<CLI::Option*, std::string>> configured;  ///< flag, and its key in the configuration
};

// What suits the optimiser, where nothing is given.
double standard_lr(const std::string& optimizer) { return optimizer == "adamw" ? 0.003 : 0.1; }
double standard_decay(const std::string& optimizer) { return optimizer == "adamw" ? 0.05 : 5e-4; }

// The run's own configuration rules; a flag that says something else is an error, not ignored.
void check_agrees(const TrainFlags& f, const TrainConfig& run) {
  const Json asked = f.options.config, has = run;
  for (const auto& [flag, key] : f.configured)
    check(flag->count() == 0 || asked.at(key) == has.at(key),
          "train: --{} {} differs from the run in {}, which has {}; leave it out to resume, or start another run",
          flag->get_lnames()[0], json_text(asked.at(key)), f.options.out, json_text(has.at(key)));
}

}  // namespace

void add_train(CLI::App& program, Action& action) {
  CLI::App* c = program.add_subcommand("train", "Train an image classifier, from scratch or from pretrained weights");
  auto f = std::make_shared<TrainFlags>();
  TrainConfig& t = f->options.config;
  const auto add = [&](const char* group, const std::string& flag, auto& value, const char* type,
                       const std::string& text, const CLI::Validator& validator) {
    CLI::Option* o = AddOption(*c)(group, "--" + flag, value, type, text, validator);
    std::string key = flag;
    std::replace(key.begin(), key.end(), '-', '_');
    if (Json(t).contains(key)) f->configured.emplace_back(o, key);
    return o;
  };

  add("Data", "data", t.data, "NAME", source_help(), one_of(source_names()));
  add("Data", "data-dir", f->options.data_dir, "DIR", "Folder with its files, if not where the package puts them", {});
  add("Data", "image-size", t.image_size, "N", "Side of the images that --data folder makes, in pixels; 0: 224",
      integer(0));
  f->configured.emplace_back(
      c->add_flag("--skip-corrupt", t.skip_corrupt, "Leave out images that cannot be read, and list them")
          ->group("Data"),
      "skip_corrupt");
  add("Data", "workers", f->options.workers, "N", "Threads that decode and augment images ahead; 0: one a core",
      integer(0));
  add("Data", "limit-train", t.limit_train, "N",
      "Use N training images only (the first; of folder some of each class); 0: all", integer(0));
  add("Data", "limit-test", t.limit_test, "N", "Use N test images only, likewise; 0: all", integer(0));
  f->augment = add("Augmentation", "augment", t.augment, "NAME",
                   "none; light (mirror images); imagenet (random resized crop, mirror, colour jitter); randaugment "
                   "(random resized crop, mirror, RandAugment) [imagenet for folder, else light]",
                   one_of(data::augment_presets()))
                   ->default_str("");
  add("Augmentation", "mixup", t.mixup, "X", "Mix images with each other, their shares from Beta(X, X); 0: do not",
      number(0));
  add("Augmentation", "cutmix", t.cutmix, "X",
      "Paste boxes of images into each other, likewise; with --mixup one of both", number(0));
  add("Augmentation", "pad", t.pad, "N", "Shift training images at random by up to N pixels", integer(0));
  f->configured.emplace_back(
      c->add_flag("--no-flip{false}", t.flip, "Do not mirror training images at random")->group("Augmentation"),
      "flip");

  add("Model", "model", t.model, "NAME", "One of " + model_list() + "; options behind a colon: resnet8:shortcut=B",
      model_name());
  add("Model", "weights", t.weights, "FILE",
      "Start from pretrained weights: safetensors or .pth with names of torchvision, timm or Hugging Face, or a model "
      "of holt",
      {});
  add("Model", "freeze", t.freeze, "NAMES",
      "Leave parameters as they are: patterns with commas between, conv1.*,layer1.*; ViT: patch_embed.*,blocks.?.*. "
      "Batch norm goes on counting its statistics",
      {});

  add("Training", "epochs", t.epochs, "N", "How often to go through the training images", integer(1));
  add("Training", "max-steps", t.max_steps, "N", "End after N steps, and the schedule with them; 0: no limit",
      integer(0));
  add("Training", "batch", t.batch, "N", "Images in a step", integer(1));
  add("Training", "optimizer", t.optimizer, "NAME", "sgd (with Nesterov momentum) or adamw", one_of({"sgd", "adamw"}));
  f->lr =
      add("Training", "lr", t.lr, "X", "Learning rate at its highest [0.1 for sgd, 0.003 for adamw]", number(0, true))
          ->default_str("");
  add("Training", "momentum", t.momentum, "X", "Momentum of sgd", number(0, false, 1));
  f->weight_decay = add("Training", "weight-decay", t.weight_decay, "X",
                        "Weight decay of everything but biases and norms [5e-4 for sgd, 0.05 for adamw]", number(0))
                        ->default_str("");
  add("Training", "schedule", t.schedule, "NAME",
      "Learning rate over the run: cosine (to zero, after a warm-up), step (a tenth at ½ and ¾), constant",
      one_of({"cosine", "step", "constant"}));
  add("Training", "warmup", t.warmup, "X", "Part of the run in which cosine's learning rate rises",
      number(0, false, 1));
  add("Training", "label-smoothing", t.label_smoothing, "X", "Share of each target spread over all classes",
      number(0, false, 1));
  add("Training", "seed", t.seed, "N", "Seed of weights, order and augmentation: the same seed, the same result",
      integer(0));

  add_compute_flags(*c, f->compute);
  f->configured.emplace_back(c->get_option("--precision"), "precision");

  f->options.out = "";
  c->add_option("--out", f->options.out, "Run folder: checkpoint, model, log [runs/DATA-MODEL]")
      ->type_name("DIR")
      ->group("Run folder");
  CLI::Option* resume =
      c->add_flag(
           "--resume", f->options.resume,
           "Continue the run in the folder where it stopped; the result is the same, bit for bit, as without the "
           "stop (on cpu, with as many threads). Its configuration is taken from the checkpoint")
          ->group("Run folder");
  c->add_flag("--overwrite", f->options.overwrite, "Replace the run in the folder")
      ->group("Run folder")
      ->excludes(resume);
  c->add_flag("--plain", f->options.plain, "Plain lines instead of a progress line, as when the output is a file")
      ->group("Run folder");
  c->footer(
      "The run folder gets checkpoint.safetensors and a line of log.jsonl after each epoch, model.safetensors at the "
      "end.\n"
      "Ctrl-C stops after the current step with a checkpoint (exit code 130), a second one stops at once.\n"
      "\n"
      "Examples:\n"
      "  holt train                                           resnet8 on Fashion-MNIST\n"
      "  holt train --resume                                  go on after Ctrl-C, a crash or a reboot\n"
      "  holt train --model resnet20 --epochs 20 --out runs/deep\n"
      "  holt train --data folder --data-dir ~/flowers --model resnet50 --augment randaugment --mixup 0.2\n"
      "  holt train --optimizer adamw --lr 0.002 --schedule constant --out runs/adamw\n"
      "  holt train --model resnet18 --weights resnet18.pth --lr 0.01 --out runs/tuned\n"
      "  holt train --model resnet18 --weights resnet18.pth --freeze 'conv1.*,bn1.*,layer1.*' --out runs/upper\n"
      "  holt train --device simt --limit-train 200 --limit-test 200 --max-steps 3 --out runs/simt");

  c->callback([f, &action] {
    TrainOptions& o = f->options;
    if (f->lr->count() == 0) o.config.lr = standard_lr(o.config.optimizer);
    if (f->weight_decay->count() == 0) o.config.weight_decay = standard_decay(o.config.optimizer);
    if (f->augment->count() == 0) o.config.augment = o.config.data == "folder" ? "imagenet" : "light";
    if (o.out.empty()) o.out = "runs/" + o.config.data + "-" + o.config.model.substr(0, o.config.model.find(':'));
    o.device = f->compute.device;
    o.config.precision = f->compute.precision;
    action = [f] {
      apply(f->compute);
      TrainOptions o = f->options;
      o.check_resumed = [&](const TrainConfig& run) { check_agrees(*f, run); };
      return train(o);
    };
  });
}

}  // namespace holt::app
