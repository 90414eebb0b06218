#include "apps/holt/train.h"

#include <omp.h>

#include <chrono>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "apps/holt/checkpoint.h"
#include "apps/holt/interrupt.h"
#include "apps/holt/pretrained.h"
#include "apps/holt/progress.h"
#include "apps/holt/run_folder.h"
#include "apps/holt/source.h"
#include "core/autocast.h"
#include "core/finite.h"
#include "core/json.h"
#include "data/device_batches.h"
#include "kernels/build_info.h"
#include "nn/models/registry.h"
#include "nn/schedule.h"
#include "nn/state_file.h"

namespace holt::app {
namespace {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

constexpr int64_t kTestBatch = 500;

// One run: what it is made of, and the loop.
class Run {
 public:
  Run(const TrainOptions& o, const RunFolder& folder, std::optional<Checkpoint> from)
      : folder_(folder),
        config_(from ? from->config : o.config),
        device_(parse_device(o.device)),
        precision_(parse_dtype(config_.precision)),
        elsewhere_((o.data_dir.empty() ? "" : " --data-dir " + o.data_dir) +
                   (device_ == Device{} ? "" : " --device " + o.device)),
        progress_(o.plain),
        train_(load(o, Part::train)),
        test_(load(o, Part::test)) {
    nn::ModelConfig m = nn::parse_model(config_.model);
    const Shape image = train_.samples().image_shape();
    m.classes = train_.samples().num_classes();
    m.height = image[0], m.width = image[1], m.channels = image[2];
    const data::Normalize& n = train_.options().normalize;
    usage_ = {train_.samples().classes(), n.mean, n.std};
    Generator generator(config_.seed);
    model_ = nn::make_model(m, generator);
    if (!config_.weights.empty() && !from) {
      const nn::Weights weights = nn::read_weights(config_.weights);
      start_ = described(weights, nn::load_weights(weights, *model_));
    }
    if (!config_.freeze.empty()) {
      const int frozen = model_->requires_grad(config_.freeze, false);
      check(model_->parameter_count(true) > 0, "train: --freeze '{}' leaves nothing to train", config_.freeze);
      start_.push_back(format("{} of {} parameter tensors are frozen; {} numbers are trained", frozen,
                              model_->named_parameters().size(), model_->parameter_count(true)));
    }
    model_->to(device_);
    optimizer_ = make_optimizer();
    if (precision_ == DType::f16) optimizer_->use(nn::GradScaler(device_));

    const int64_t all = config_.epochs * train_.batches();
    total_ = config_.max_steps > 0 ? std::min(all, config_.max_steps) : all;
    if (from) {
      restore(*from, *model_, *optimizer_);
      at_ = from->position;
      check(at_.step <= train_.batches(), "{}: its position is step {} of an epoch of {}", folder.checkpoint(),
            at_.step, train_.batches());
    }
  }

  int run(bool resumed) {
    announce(resumed);
    if (finished()) {
      progress_.line(format("this run is finished: test accuracy {:.2f} %; its model is {}", 100 * at_.last_accuracy,
                            folder_.model()));
      if (!std::filesystem::exists(folder_.model())) nn::save_model(folder_.model(), *model_, nn::to_metadata(usage_));
      return 0;
    }
    if (resumed) {
      folder_.keep_log(at_.epoch);
    } else {
      save();  // finds a full disk now and not after an epoch
      folder_.remove_results();
    }
    const Interrupt interrupt;
    const Autocast scope(precision_);  // of the whole run: weights are cast once a step, and once for each test
    while (!finished())
      if (!epoch(interrupt)) {
        save();
        progress_.line(format("stopped in epoch {} after step {}; saved. Continue with: holt train --resume --out {}{}",
                              at_.epoch + 1, at_.step, folder_.path(), elsewhere_));
        return 128 + interrupt.signal();
      }
    nn::save_model(folder_.model(), *model_, nn::to_metadata(usage_));
    progress_.line(format("done in {}: test accuracy {:.2f} %{}", clock_time(seconds_since(begin_)),
                          100 * at_.last_accuracy,
                          at_.best_epoch + 1 < at_.epoch
                              ? format(" (best: {:.2f} % in epoch {})", 100 * at_.best_accuracy, at_.best_epoch + 1)
                              : ""));
    progress_.line("model: " + folder_.model());
    return 0;
  }

 private:
  data::Loader load(const TrainOptions& o, Part part) {
    const bool training = part == Part::train;
    const int64_t side = config_.image_size ? config_.image_size : data::Frame{}.height;
    check(config_.image_size == 0 || config_.data == "folder",
          "train: --image-size is for --data folder; {} has its own", config_.data);
    Source& s = sources_[training ? 0 : 1];
    s = load_source({.name = config_.data,
                     .part = part,
                     .folder = o.data_dir,
                     .limit = training ? config_.limit_train : config_.limit_test,
                     .frame = {side, side},
                     .skip_corrupt = config_.skip_corrupt});
    data::LoaderOptions l;
    l.workers = static_cast<int>(o.workers);
    l.batch = training ? config_.batch : s.files ? std::min(kTestBatch, config_.batch) : kTestBatch;
    l.normalize = s.normalize;
    if (training) {
      l.shuffle = true;
      l.seed = config_.seed;
      l.augment = data::augment_preset(config_.augment);
      l.augment.pad = static_cast<int>(config_.pad);
      l.augment.flip = l.augment.flip && config_.flip;
      l.augment.mixup = config_.mixup, l.augment.cutmix = config_.cutmix;
    }
    return {s.samples, std::move(l)};
  }

  std::unique_ptr<nn::Optimizer> make_optimizer() const {
    const std::vector<nn::ParameterGroup> groups = nn::decay_groups(model_->named_parameters());
    const TrainConfig& c = config_;
    if (c.optimizer == "adamw")
      return std::make_unique<nn::AdamW>(groups, nn::AdamWOptions{.lr = c.lr, .weight_decay = c.weight_decay});
    return std::make_unique<nn::SGD>(
        groups,
        nn::SGDOptions{.lr = c.lr, .momentum = c.momentum, .nesterov = c.momentum > 0, .weight_decay = c.weight_decay});
  }

  double factor(int64_t step) const {
    if (config_.schedule == "constant") return nn::schedule::constant(step);
    if (config_.schedule == "step") return nn::schedule::step(step, {total_ / 2, total_ * 3 / 4});
    const auto warmup = static_cast<int64_t>(config_.warmup * static_cast<double>(total_));
    return nn::schedule::cosine(step, {.total = total_, .warmup = warmup});
  }

  int64_t done_steps() const { return at_.epoch * train_.batches() + at_.step; }
  bool finished() const { return done_steps() >= total_ && at_.step == 0; }

  // Never replaces a sound checkpoint by a broken one.
  void save() const {
    for (const auto& [name, tensor] : model_->named_parameters())
      check(first_nonfinite(tensor) < 0,
            "train: {} is not finite after step {} of {}; try a smaller --lr than {}. {} is kept as it was before",
            name, done_steps(), total_, config_.lr, folder_.checkpoint());
    write_checkpoint(folder_.checkpoint(), *model_, usage_, *optimizer_, config_, at_);
  }

  void announce(bool resumed) {
    const data::Samples& samples = train_.samples();
    const Shape image = samples.image_shape();
    progress_.line(format("holt {} ({}): training {} on {}, {} with {} thread{}{}", build_info().version,
                          build_info().commit, config_.model, config_.data, device_, omp_get_max_threads(),
                          omp_get_max_threads() == 1 ? "" : "s",
                          precision_ == DType::f32 ? "" : format(", {}", precision_)));
    progress_.line(format("  {} images of {}×{}×{} in {} classes, {} to test; {} parameters", samples.size(), image[0],
                          image[1], image[2], samples.num_classes(), test_.samples().size(),
                          model_->parameter_count()));
    progress_.line(format("  {}, learning rate {} ({}), batch {}, {} epochs = {} steps", config_.optimizer, config_.lr,
                          config_.schedule, config_.batch, config_.epochs, total_));
    for (const std::string& line : start_) progress_.line("  " + line);
    if (resumed) progress_.line(format("  continuing in epoch {} after step {}", at_.epoch + 1, at_.step));
    if (at_.threads != omp_get_max_threads() && resumed && !finished())
      progress_.line(format("  note: until here it had {} threads; with {} the last digits may differ", at_.threads,
                            omp_get_max_threads()));
    if (!finished()) at_.threads = omp_get_max_threads();
  }

  // Trains to the end of the current epoch, tests, logs, saves. False if a signal came between two steps.
  bool epoch(const Interrupt& interrupt) {
    data::DeviceBatches batches(train_.epoch(at_.epoch, at_.step), device_);
    const int64_t steps = std::min(train_.batches(), total_ - at_.epoch * train_.batches());
    const auto begin = Clock::now();
    const int64_t samples_before = at_.scores.samples;
    model_->train();
    while (at_.step < steps) {
      if (interrupt.signal()) return false;
      const auto batch = batches.next();
      const int64_t step = done_steps();
      const double loss = nn::train_step(*model_, *optimizer_, batch->images, batch->labels, at_.scores,
                                         {.factor = factor(step),
                                          .label_smoothing = config_.label_smoothing,
                                          .other_labels = batch->other_labels,
                                          .share = batch->share});
      check(std::isfinite(loss),
            "train: the loss is {} at step {} of {} (epoch {}); try a smaller --lr than {}. {} is "
            "kept as it was before",
            loss, step + 1, total_, at_.epoch + 1, config_.lr, folder_.checkpoint());
      ++at_.step;
      const double seconds = seconds_since(begin);
      const auto samples = static_cast<double>(at_.scores.samples - samples_before);
      step_seconds_ = seconds / static_cast<double>(samples) * static_cast<double>(config_.batch);
      progress_.show({.epoch = at_.epoch,
                      .epochs = epochs(),
                      .step = at_.step,
                      .steps = steps,
                      .loss = at_.scores.loss(),
                      .accuracy = at_.scores.accuracy(),
                      .images_per_second = samples / seconds,
                      .seconds_left = seconds_left()});
    }
    const double train_seconds = seconds_since(begin);
    const double speed = static_cast<double>(at_.scores.samples - samples_before) / std::max(train_seconds, 1e-9);

    const auto test_begin = Clock::now();
    const nn::Scores test = nn::evaluate(*model_, data::DeviceBatches(test_.epoch(0), device_), device_, [&](int64_t) {
      progress_.show({.epoch = at_.epoch,
                      .epochs = epochs(),
                      .step = at_.step,
                      .steps = steps,
                      .seconds_left = seconds_left(),
                      .note = "testing"});
      return interrupt.signal() == 0;
    });
    if (interrupt.signal()) return false;  // the test is repeated on resume
    test_seconds_ = seconds_since(test_begin);
    check(std::isfinite(test.loss()),
          "train: the test loss is {} after epoch {}; try a smaller --lr than {}. {} is kept "
          "as it was before",
          test.loss(), at_.epoch + 1, config_.lr, folder_.checkpoint());
    finish_epoch(test, train_seconds, speed);
    return true;
  }

  // What --skip-corrupt met in this epoch for the first time.
  void report_left_out() {
    for (int k = 0; k < 2; ++k)
      if (const std::string text = left_out(sources_[k], left_out_[k]); !text.empty()) {
        progress_.line(text);
        left_out_[k] = sources_[k].files->unreadable().size();
      }
  }

  void finish_epoch(const nn::Scores& test, double seconds, double speed) {
    report_left_out();
    progress_.line(
        format("epoch {:>{}}/{}  train loss {:.4f}  acc {:5.2f} %   test loss {:.4f}  acc {:5.2f} %   {:.0f} "
               "images/s  {}",
               at_.epoch + 1, format("{}", epochs()).size(), epochs(), at_.scores.loss(), 100 * at_.scores.accuracy(),
               test.loss(), 100 * test.accuracy(), speed, clock_time(seconds)));
    // Line first, checkpoint second: a kill between them leaves a line that a resumed run cuts off and writes again.
    nlohmann::json line{{"epoch", at_.epoch + 1},
                        {"step", done_steps()},
                        {"train_loss", at_.scores.loss()},
                        {"train_accuracy", at_.scores.accuracy()},
                        {"test_loss", test.loss()},
                        {"test_accuracy", test.accuracy()},
                        {"images_per_second", std::round(speed)},
                        {"seconds", std::round(seconds * 1000) / 1000}};
    if (const auto& scaler = optimizer_->scaler()) {
      line["loss_scale"] = scaler->current();
      line["skipped_steps"] = scaler->skipped();
    }
    folder_.append_log(json_text(line));
    at_.last_accuracy = test.accuracy();
    if (at_.best_epoch < 0 || test.accuracy() > at_.best_accuracy) {
      at_.best_accuracy = test.accuracy();
      at_.best_epoch = at_.epoch;
    }
    at_.scores = {};
    at_.step = 0;
    ++at_.epoch;
    save();
  }

  int64_t epochs() const { return (total_ + train_.batches() - 1) / train_.batches(); }

  // Until the run ends: steps at this epoch's pace, tests at the last one's (before the first: a third of a step each).
  double seconds_left() const {
    const double steps = static_cast<double>(total_ - done_steps()) * step_seconds_;
    const double test = test_seconds_ >= 0 ? test_seconds_
                                           : step_seconds_ / static_cast<double>(config_.batch) / 3 *
                                                 static_cast<double>(test_.samples().size());
    return steps + static_cast<double>(epochs() - at_.epoch) * test;
  }

  const RunFolder& folder_;
  TrainConfig config_;
  Device device_;
  DType precision_;
  std::string elsewhere_;  // flags that a resumed run needs again: no part of its configuration
  Progress progress_;
  Source sources_[2];  // train and test
  size_t left_out_[2] = {0, 0};
  data::Loader train_, test_;
  nn::Usage usage_;
  std::unique_ptr<nn::Model> model_;
  std::vector<std::string> start_;  // what is to say of pretrained weights and frozen layers
  std::unique_ptr<nn::Optimizer> optimizer_;
  Position at_;
  int64_t total_ = 0;  // steps of the whole run
  double step_seconds_ = 0, test_seconds_ = -1;
  Clock::time_point begin_ = Clock::now();
};

}  // namespace

int train(const TrainOptions& o) {
  check(!(o.resume && o.overwrite), "train: --resume and --overwrite exclude each other");
  const RunFolder folder(o.out, o.resume      ? RunFolder::Mode::resume
                                : o.overwrite ? RunFolder::Mode::overwrite
                                              : RunFolder::Mode::fresh);
  std::optional<Checkpoint> from;
  if (o.resume) {
    from = read_checkpoint(folder.checkpoint());
    o.check_resumed(from->config);
  }
  return Run(o, folder, std::move(from)).run(o.resume);
}

}  // namespace holt::app
