#include "apps/holt/adapt_run.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "apps/holt/interrupt.h"
#include "apps/holt/model_file.h"
#include "apps/holt/output_file.h"
#include "apps/holt/pretrained.h"
#include "apps/holt/progress.h"
#include "core/autocast.h"
#include "core/file_lock.h"
#include "core/json.h"
#include "core/nearest.h"
#include "data/class_folder.h"
#include "kernels/build_info.h"
#include "nn/train_loop.h"
#include "transfer/calibration.h"
#include "transfer/job.h"
#include "transfer/recipe.h"
#include "transfer/training.h"

namespace holt::app {
namespace {

namespace fs = std::filesystem;
using namespace transfer;
using Clock = std::chrono::steady_clock;

constexpr int64_t kPhotograph = 64;  // pixels a side: from here on the numbers of photographs suit better

std::string named(const std::vector<int64_t>& classes, const std::vector<std::string>& names) {
  std::vector<std::string> chosen;
  for (const int64_t c : classes) chosen.push_back(names[c]);
  return first_of(chosen, 40);
}

std::string images_per_class(const Task& task) {
  std::vector<int64_t> count(task.classes());
  for (int64_t i = 0; i < task.train.size(); ++i) ++count[task.train.labels.data<int64_t>()[i]];
  int64_t least = task.train.size(), most = 0;
  for (const int64_t c : task.split.seen) least = std::min(least, count[c]), most = std::max(most, count[c]);
  return least == most ? format("{} of each class", least) : format("{} … {} of a class", least, most);
}

void check_classes(const AdaptOptions& o, const Task& task, const Method& method) {
  const bool all = std::ssize(task.split.seen) == task.classes();
  const bool oracle = method.parts.front()->name == "oracle";
  check(!all || oracle,
        "adapt: {} has images of all {} classes, so that nothing is missing; use plain fine-tuning: --method oracle",
        o.data, task.classes());
  check(!oracle || (o.calibrate == "none" && o.select == "none"),
        "adapt: --method oracle has no missing classes for which to choose; leave out --select and --calibrate");
  const bool gated =
      std::any_of(method.parts.begin(), method.parts.end(), [](const MethodEntry* p) { return p->name == "gate"; });
  check(o.calibrate != "alg" || !gated,
        "adapt: --calibrate alg compares the seen logits with the missing ones, and the gate of '{}' lowers the seen "
        "ones of every image but its own; use pcv, or none",
        o.method);
  check((o.calibrate == "none" && o.select == "none") || task.split.seen.size() >= 2,
        "adapt: --calibrate and --select compare seen classes, and {} has images of one only", o.data);
}

// A line of progress for steps whose number is not known beforehand; doubles as the question whether to stop.
class Ticker {
 public:
  Ticker(Progress& progress, const Interrupt& interrupt) : progress_(progress), interrupt_(interrupt) {}
  void begin(std::string phase) {
    phase_ = std::move(phase);
    steps_ = 0;
    begin_ = Clock::now();
  }
  bool stopped() {
    progress_.show_text(format("{}  step {}  {}", phase_, ++steps_, clock_time(seconds())));
    return interrupt_.signal() != 0;
  }
  double seconds() const { return std::chrono::duration<double>(Clock::now() - begin_).count(); }

 private:
  Progress& progress_;
  const Interrupt& interrupt_;
  std::string phase_;
  int64_t steps_ = 0;
  Clock::time_point begin_ = Clock::now();
};

double training_accuracy(const Classifier& c, const Task& task, Device device, double gamma) {
  const Predictions p = evaluate(c, task.train, task.normalize, device).predictions;
  const Seen seen = task.split.mask(task.classes());
  if (std::ssize(task.split.seen) < task.classes()) return measure(p, seen, gamma).overall;
  nn::Scores s;
  s.add(from(p.logits, {p.size(), p.classes}), task.train.labels, 0);
  return s.accuracy();
}

double choose_gamma(const AdaptOptions& o, nn::Model& source, const Task& task, const Method& method,
                    const Options& options, const AdaptSettings& settings, const Classifier& adapted) {
  if (o.calibrate == "pcv") return pseudo_calibration(pseudo_folds(source, task, method, options, settings), task);
  return average_logit_gap(evaluate(adapted, task.train, task.normalize, o.device).predictions,
                           task.split.mask(task.classes()));
}

LoadedClassifier load_to_adapt(const AdaptOptions& o, const std::string& path) {
  if (o.weights.empty()) return load_for_use(path, o.device);
  return use_pretrained(path, {.classes = read_class_names(o.classes), .height = o.image_size, .width = o.image_size},
                        o.device);
}

}  // namespace

int run_adapt(const AdaptOptions& o) {
  const std::string path = o.weights.empty() ? model_file("adapt", o.model) : o.weights;
  check(!o.out.empty(), "adapt: say with --out where the adapted model goes");
  check_output_file("adapt", o.out, path, "model", o.overwrite);
  const FileLock lock("adapt", o.out);
  LoadedClassifier loaded = load_to_adapt(o, path);
  const nn::ModelConfig config = loaded.classifier.model->config();
  check(!loaded.classifier.correction && !loaded.classifier.gate && loaded.classifier.gamma == 0,
        "adapt: {} is adapted already; start from the model that it was made of", path);
  nn::Model& source = *loaded.classifier.model;
  prepare_source(source, o.device);

  JobSpec spec;
  spec.method = o.method;
  spec.sets = o.sets;
  spec.options = recipe_for(config.height >= kPhotograph ? "folder" : "").options;
  Options options;
  const Method method = resolve(spec, options);

  Progress progress(o.plain);
  const Interrupt interrupt;
  Ticker ticker(progress, interrupt);
  data::Frame frame = input_frame(loaded);
  if (!o.fit.empty()) frame.fit = data::parse_fit(o.fit);
  std::vector<data::Unreadable> unreadable;
  const data::Dataset images = data::load_class_folder(
      o.data, loaded.usage.classes,
      {.frame = frame, .skip_corrupt = o.skip_corrupt, .unreadable = o.skip_corrupt ? &unreadable : nullptr});
  const Task task = own_task(images, {loaded.usage.mean, loaded.usage.std});
  check_classes(o, task, method);

  const std::vector<int64_t> missing = task.split.unseen(task.classes());
  progress.line(format("{}: {}", path, nn::to_string(config)));
  for (const data::Unreadable& u : unreadable) progress.line(format("left out: {}", u.text));
  progress.line(format("{}: {} images, {}, {}", o.data, images.size(), images_per_class(task),
                       frame.fit == data::Fit::crop ? "their middles cropped" : "each taken whole"));
  progress.line(format("seen     {} classes: {}", task.split.seen.size(), named(task.split.seen, images.classes)));
  if (!missing.empty())
    progress.line(format("missing  {} classes: {}", missing.size(), named(missing, images.classes)));

  const Autocast scope(o.precision);
  AdaptSettings settings{.seed = derive_seed(static_cast<uint64_t>(o.seed), "adapt"),
                         .device = o.device,
                         .precision = o.precision,
                         .local_workers = o.local_workers,
                         .cancelled = [&] { return ticker.stopped(); }};
  try {
    ticker.begin("choosing options");
    const Selection selection = parse_selection(o.select);
    const Selected selected = select_options(selection, source, task, method, options, settings);
    for (const auto& [name, value] : selected.chosen) progress.line(format("chose    {} = {}", name, value));

    ticker.begin("adapting");
    Adapted adapted = adapt(source, task, method, selected.options, settings);
    Classifier& c = adapted.classifier;
    progress.line(format("adapted  by {} in {}, {} steps at lr {}, batch {}", o.method, clock_time(adapted.seconds),
                         adapted.history.loss.size(), selected.options.lr, selected.options.batch));
    if (o.calibrate != "none") {
      ticker.begin("calibrating");
      c.gamma = choose_gamma(o, source, task, method, selected.options, settings, c);
      progress.line(format("γ        {:.3f} on the missing classes' logits, by {}", c.gamma, o.calibrate));
    }
    progress.line(format("accuracy on these images: {:.1f} % before, {:.1f} % after",
                         100 * training_accuracy(loaded.classifier, task, o.device, 0),
                         100 * training_accuracy(c, task, o.device, c.gamma)));

    save_classifier(o.out, c, loaded.usage,
                    {{"transfer.fit", to_string(frame.fit)},
                     {"transfer.method", o.method},
                     {"transfer.options", json_text(nlohmann::json(selected.options))},
                     {"transfer.selection", o.select},
                     {"transfer.calibration", o.calibrate},
                     {"transfer.seed", format("{}", o.seed)},
                     {"transfer.device", to_string(o.device)},
                     {"transfer.precision", to_string(o.precision)},
                     {"transfer.commit", build_info().commit},
                     {"transfer.model", path},
                     {"transfer.data", o.data}});
  } catch (const Error&) {
    if (interrupt.signal() == 0) throw;
    progress.line(format("stopped; {} was not written", o.out));
    return 128 + interrupt.signal();
  }
  progress.line(format("wrote    {}", o.out));
  progress.line(format("\nNext: holt predict --model {} IMAGE…", o.out));
  if (!missing.empty())
    progress.line("How well it does on the missing classes these images cannot tell: try it on a few that you know.");
  return 0;
}

}  // namespace holt::app
