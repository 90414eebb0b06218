// holt bench: what holt makes of this machine. A group: each benchmark is a command of its own.
#include "apps/holt/bench/loader_bench.h"
#include "apps/holt/bench/model_bench.h"
#include "apps/holt/commands.h"
#include "data/augment.h"
#include "kernels/error.h"

namespace holt::app {
namespace {

struct ModelFlags {
  ModelBench options;
  ComputeFlags compute;
};

void add_model(CLI::App& group, Action& action) {
  CLI::App* c = group.add_subcommand("model", "Time a network's training step or inference against the peak");
  auto f = std::make_shared<ModelFlags>();
  ModelBench& o = f->options;
  const AddOption add(*c);
  add("Model", "--model", o.model, "NAME",
      "One of " + model_list() + "; options behind a colon: resnet50:drop_path=0.1", model_name());
  add("Model", "--batch", o.batch, "N", "Images in a step", integer(1));
  add("Model", "--image-size", o.image_size, "N", "Side of the images in pixels; 0: what the model is for", integer(0));
  add("Model", "--classes", o.classes, "N", "Classes; 0: what the model is for", integer(0));
  CLI::Option* inference =
      c->add_flag("--inference", o.inference, "Only the forward, in evaluation mode")->group("Measurement");
  c->add_flag("--train{false}", o.inference,
              "A training step: forward, cross-entropy, backward, SGD with momentum or for transformers AdamW. The "
              "default")
      ->group("Measurement")
      ->excludes(inference);
  add("Measurement", "--steps", o.steps, "N", "Timed steps", integer(1));
  add("Measurement", "--warmup", o.warmup, "N", "Steps before", integer(1));
  c->add_flag("--profile", o.profile, "Also where the time goes, op by op; takes as many steps again")
      ->group("Measurement");
  c->add_flag("--processor-time", o.processor_time,
              "Count the time that the processor computed instead of the wall's: on a busy machine, with --threads 1")
      ->group("Measurement");
  add("Measurement", "--json", o.json, "FILE", "Write the numbers there too", {});
  c->add_option("--precision", f->compute.precision, "Of products and convolutions: f32 or bf16. Weights stay f32")
      ->type_name("DTYPE")
      ->group("Device")
      ->check(one_of({"f32", "bf16"}))
      ->capture_default_str();
  add("Device", "--threads", f->compute.threads, "N", "Threads of the cpu; 0: one for each core", integer(0));
  c->footer(
      "The batch is noise: decoding and augmentation are not in the step. % of peak counts the flops of products\n"
      "(convolutions, linear layers, attention) against the multiply-adds measured in the same run.\n"
      "\n"
      "Examples:\n"
      "  holt bench model --model resnet50 --batch 16\n"
      "  holt bench model --model vit_b_16 --precision bf16 --profile\n"
      "  holt bench model --model resnet50 --inference --threads 1 --json resnet50.json");
  c->callback([f, &action] {
    f->options.precision = parse_dtype(f->compute.precision);
    action = [f] {
      check(!f->options.processor_time || f->compute.threads == 1,
            "bench: --processor-time needs --threads 1; several threads' waiting would count as work");
      apply(f->compute);
      return bench_model(f->options);
    };
  });
}

void add_loader(CLI::App& group, Action& action) {
  CLI::App* c = group.add_subcommand("loader", "Time how training images are decoded, augmented and normalised");
  auto o = std::make_shared<LoaderBench>();
  const AddOption add(*c);
  add("Images", "--data-dir", o->folder, "DIR", "Photographs, CLASS/IMAGE; if not given, JPEGs of 500 × 375 are made",
      {});
  add("Images", "--image-size", o->image_size, "N", "Side of what comes out, in pixels", integer(1));
  add("Images", "--augment", o->augment, "NAME", "A preset of holt train", one_of(data::augment_presets()));
  add("Measurement", "--images", o->images, "N", "Images to time", integer(1));
  add("Measurement", "--batch", o->batch, "N", "Images in a batch", integer(1));
  add("Measurement", "--workers", o->workers, "N", "Threads; 0: first one, then one a core", integer(0));
  add("Measurement", "--json", o->json, "FILE", "Write the numbers there too", {});
  c->footer(
      "Stages are timed on one thread, in processor time. A network is fed without a wait where the loader's images/s\n"
      "exceed those of 'holt bench model'.\n"
      "\n"
      "Examples:\n"
      "  holt bench loader\n"
      "  holt bench loader --data-dir ~/flowers/train --augment imagenet");
  c->callback([o, &action] { action = [o] { return bench_loader(*o); }; });
}

}  // namespace

void add_bench(CLI::App& program, Action& action) {
  CLI::App* c = program.add_subcommand("bench", "Time what holt makes of this machine");
  c->require_subcommand(0, 1);
  add_model(*c, action);
  add_loader(*c, action);
  c->footer("Examples:\n  holt bench model --model resnet50 --batch 16\n  holt bench loader");
}

}  // namespace holt::app
