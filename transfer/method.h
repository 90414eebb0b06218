// Methods as small parts, composed with '+': "frozen-classifier+lolsgd+distill+rank".
//
// A part acts at any of four places: before training, on the loss of each step, as the training loop, and after
// training. Each is one file in transfer/methods/ and one line in methods/list.def; docs/adding-a-method.md writes one.
#pragma once
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "nn/optim.h"
#include "transfer/classifier.h"
#include "transfer/options.h"
#include "transfer/task.h"

namespace holt::transfer {

class Part;

/// The classification loss of a step: −log of the softmax of τ·z + offset over the allowed classes, mean over the
/// batch.
struct Objective {
  double tau = 1;
  Tensor offset = {};      ///< f32 [C], added to the logits; undefined: none
  Tensor class_mask = {};  ///< u8 [C]; undefined: all classes

  Tensor operator()(const Tensor& logits, const Tensor& labels) const;
};

/// What a part's penalty may look at.
struct Forward {
  nn::Model& model;  ///< being trained: a LOLSGD local, or the classifier's own
  Tensor images;     ///< as the network saw them
  Tensor features, logits, labels;
};

/// One adaptation while it runs: what is given, and what the parts change.
struct Adaptation {
  const Task& task;
  const Options& options;
  nn::Model& source;      ///< in evaluation mode, frozen: a teacher that several threads may ask
  Classifier classifier;  ///< begins as a copy of the source model
  Device device;
  /// Of the network's arithmetic. Parts run in an Autocast scope of it; penalties and objectives do not: they see f32,
  /// and a penalty that asks a network opens a scope of its own.
  DType precision = DType::f32;
  uint64_t seed;
  std::function<bool()> cancelled = {};  ///< asked before every step
  int64_t local_workers = 1;             ///< threads that train LOLSGD's locals; changes nothing but the time

  double lr;            ///< of the training
  data::Dataset train;  ///< what is trained on: the task's seen images (the oracle's: all)
  Objective objective = {};
  std::vector<std::unique_ptr<Part>> parts = {};

  struct History {
    std::vector<float> loss;      ///< of each step (mean over LOLSGD's locals)
    std::vector<float> accuracy;  ///< of each step's batch
  } history = {};
  /// Called after a step that was a good place to look (a round's end, every tenth step) with the number of steps done.
  std::function<void(int64_t)> watch = {};
};

class Part {
 public:
  virtual ~Part() = default;
  /// Before training: freeze, change the objective or the data.
  virtual void begin(Adaptation&) {}
  /// Adds to the loss of a step; undefined: nothing. Called from several threads at once when locals train in parallel.
  virtual Tensor penalty(const Adaptation&, const Forward&) { return {}; }
  /// In place of plain fine-tuning. Only one part of a method may train.
  virtual void train(Adaptation&) {}
  /// After training, in the order of the parts.
  virtual void end(Adaptation&) {}
};

enum class Role { trainer, modifier };

struct MethodEntry {
  std::string name, description;
  std::string source;  ///< paper and equation
  Role role = Role::modifier;
  std::function<std::unique_ptr<Part>()> make;
  /// Trainers: how many steps the history will have; 0: none is trained. Not set: the option steps.
  std::function<int64_t(const Options&)> steps = {};
  /// The time it takes, in steps of plain fine-tuning, for the estimate of the time that is left. Trainers: not set, as
  /// many as steps; others: what they add to the method, not set, nothing.
  std::function<double(const Options&)> work = {};
  double step_work = 0;  ///< what a penalty adds to each step, in steps
  /// Hyperparameters worth choosing, with candidates: what --select tries. "lr" is always tried.
  std::vector<std::pair<std::string, std::vector<std::string>>> grid = {};
  std::vector<std::string> excludes = {};  ///< names of parts with which it makes no sense
};

/// All parts, in the order in which to list them.
const std::deque<MethodEntry>& method_parts();
/// A name for a composition and the options that belong to it: "holt" = seen-softmax+align+gate with τ = 0.5.
struct MethodAlias {
  std::string name, description, composition;
  std::vector<std::pair<std::string, std::string>> options;
};
const std::vector<MethodAlias>& method_aliases();

/// "a+b+c" taken apart: aliases replaced (and their options set), the trainer first. A program's own parts come from
/// register_method(). Errors: an unknown part (the nearest is suggested), a part named twice, two trainers, a pair that
/// makes no sense.
struct Method {
  std::string name;                       ///< as written
  std::vector<const MethodEntry*> parts;  ///< the trainer (plain "sgd" if none is named), then the others as listed
};
Method parse_method(const std::string& name, Options& options);

/// Steps that the method's training will have in its history.
int64_t training_steps(const Method& method, const Options& options);
/// The time that it takes, in steps of plain fine-tuning, its evaluation included: an estimate.
double estimated_work(const Method& method, const Options& options);

/// Adds a part to those that parse_method knows. Call it before any thread parses. Error if the name is taken.
void register_method(MethodEntry entry);

/// What `--methods all` runs, in the table's order: every row of the papers and ours, with the controls.
const std::vector<std::string>& standard_methods();

}  // namespace holt::transfer
