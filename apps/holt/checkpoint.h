// A training run at rest, in one safetensors file: the weights ("model."), the optimiser's state ("optimizer."), the
// generators ("random."), and in the metadata model, usage, configuration and position. Shuffling and augmentation need
// no state: they are functions of (seed, epoch, sample).
#pragma once
#include <memory>
#include <string>

#include "apps/holt/config.h"
#include "nn/optim.h"
#include "nn/train_loop.h"
#include "nn/usage.h"

namespace holt::app {

struct Position {
  int64_t epoch = 0, step = 0;  ///< the next step to do is `step` of `epoch`, both from 0
  nn::Scores scores = {};       ///< of this epoch's steps so far
  double best_accuracy = 0;     ///< of the finished epochs, on the test set
  int64_t best_epoch = -1;      ///< where that was; −1: none yet
  int threads = 1;              ///< of the cpu that did the last step: their number changes the last bits of sums
  double last_accuracy = 0;     ///< of the newest finished epoch
};

/// Replaces the file at once, or leaves it as it was.
void write_checkpoint(const std::string& path, const nn::Model& model, const nn::Usage& usage,
                      const nn::Optimizer& optimizer, const TrainConfig& config, const Position& position);

struct Checkpoint {
  std::string path;
  Safetensors file;
  TrainConfig config;
  Position position;
};
/// Reads the file and what its metadata says of the run.
Checkpoint read_checkpoint(const std::string& path);

/// Puts the run's state into a model and an optimiser made from the checkpoint's configuration. Errors, naming the
/// file: it holds another model; anything missing, left over or misshapen.
void restore(const Checkpoint& checkpoint, nn::Model& model, nn::Optimizer& optimizer);

struct LoadedModel {
  std::unique_ptr<nn::Model> model;  ///< on cpu, in evaluation mode
  nn::Usage usage;
};
/// The model in a checkpoint.
LoadedModel load_checkpoint_model(const std::string& path);
/// True if the safetensors file is a checkpoint.
bool holds_checkpoint(const std::string& path);

}  // namespace holt::app
