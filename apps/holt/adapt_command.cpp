// holt adapt: the flags.
#include "apps/holt/adapt_run.h"
#include "apps/holt/commands.h"
#include "apps/holt/transfer_run.h"
#include "kernels/error.h"

namespace holt::app {
namespace {

struct AdaptFlags {
  AdaptOptions options;
  ComputeFlags compute;
  bool list_methods = false;
};

}  // namespace

void add_adapt(CLI::App& program, Action& action) {
  CLI::App* c = program.add_subcommand("adapt", "Adapt a model to your own images of some of its classes");
  auto f = std::make_shared<AdaptFlags>();
  AdaptOptions& o = f->options;
  const AddOption add(*c);
  add("In and out", "--model", o.model, "FILE", "The model to adapt: a file, or the run folder of holt train", {});
  add("In and out", "--weights", o.weights, "FILE",
      "Pretrained weights instead: safetensors or .pth with names of torchvision, timm or Hugging Face", {});
  add("In and out", "--classes", o.classes, "FILE", "Names of their classes, one a line, as the folders have them", {});
  add("In and out", "--image-size", o.image_size, "N", "Side of the images for --weights; 0: what they say, or 224",
      integer(0));
  add("In and out", "--data", o.data, "DIR", "Folder DIR/CLASS/IMAGE; classes without a folder count as missing", {});
  add("In and out", "--out", o.out, "FILE", "Where the adapted model goes", {});
  c->add_flag("--overwrite", o.overwrite, "Replace that file, if it exists")->group("In and out");
  add("In and out", "--fit", o.fit, "MODE",
      "How images come to the model's size: crop (the middle) or whole [what the model's file says; else crop for "
      "models of 64 pixels or more]",
      one_of({"crop", "whole"}));
  c->add_flag("--skip-corrupt", o.skip_corrupt, "Leave out images that cannot be read")->group("In and out");

  add("Method", "--method", o.method, "NAME", "Parts are joined by +: frozen-classifier+lolsgd", {});
  c->add_option("--set", o.sets, "Sets an option: steps=300. May be repeated")
      ->type_name("NAME=VALUE")
      ->group("Method")
      ->take_all();
  add("Method", "--select", o.select, "MODE",
      "How options are chosen: none (as given) or pcv (pseudo-partial cross-validation on the seen classes; many times "
      "slower)",
      one_of({"none", "pcv"}));
  add("Method", "--calibrate", o.calibrate, "MODE",
      "γ, added to the missing classes' logits at prediction: none, alg (average logit gap; not for a method with "
      "gate, as holt is) or pcv (trains twice more)",
      one_of({"none", "alg", "pcv"}));
  add("Method", "--seed", o.seed, "N", "Of the order of the images and of dropout", integer(0));
  c->add_flag("--list-methods", f->list_methods, "Print the methods and their sources, then end")->group("Method");

  add_compute_flags(*c, f->compute);
  add("Device", "--local-workers", o.local_workers, "N", "Threads for LOLSGD's locals", integer(1));
  c->add_flag("--plain", o.plain, "Plain lines instead of a progress line, as when the output is a file")
      ->group("Output");
  c->footer(
      "The images are named by their folders: mine/cup/1.jpg, mine/pen/2.png. The adapted model knows all classes of\n"
      "the model, those without a folder too.\n"
      "\n"
      "Examples:\n"
      "  holt adapt --model runs/photos --data mine --out adapted.safetensors\n"
      "  holt adapt --model photos.safetensors --data mine --out a.safetensors --method sgd --calibrate pcv\n"
      "  holt adapt --model photos.safetensors --data mine --out a.safetensors --set steps=300 --set lr=0.001");
  c->callback([f, &action] {
    action = [f] {
      apply(f->compute);
      if (f->list_methods) return list_methods();
      const AdaptOptions& given = f->options;
      check(given.model.empty() != given.weights.empty() && !given.data.empty() && !given.out.empty(),
            "adapt: --model (or --weights), --data and --out are needed; 'holt adapt --help' shows an example");
      check(given.weights.empty() == given.classes.empty(),
            "adapt: --weights and --classes belong together: the folders are named by classes");
      f->options.device = parse_device(f->compute.device);
      f->options.precision = parse_dtype(f->compute.precision);
      return run_adapt(f->options);
    };
  });
}

}  // namespace holt::app
