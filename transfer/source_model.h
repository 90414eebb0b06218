// The model to transfer: trained on the source domain, or found in the cache.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "data/benchmark.h"
#include "nn/model.h"
#include "nn/usage.h"
#include "transfer/recipe.h"

namespace holt::transfer {

struct SourceProgress {
  int64_t epoch = 0, epochs = 0, step = 0, steps = 0;  ///< counted from 0; steps of an epoch
  double loss = 0, accuracy = 0, images_per_second = 0, seconds_left = 0;
};

struct SourceRequest {
  std::string data;         ///< the benchmark's name
  std::string folder = {};  ///< where its files are: another folder's model is another model
  const data::Benchmark& benchmark;
  std::string domain;
  SourceTraining training = {};
  uint64_t data_seed = 0;
  int64_t limit = 0;  ///< images of each class; 0: all
  Device device = {};
  std::string cache = {};  ///< folder for trained models; "": none
  std::string file = {};   ///< a model to load in place of training
  std::function<void(const SourceProgress&)> progress = {};
  std::function<bool()> cancelled = {};
};

struct SourceModel {
  std::unique_ptr<nn::Model> model;  ///< prepared: evaluation mode, frozen, on the device
  nn::Usage usage;
  std::string id;            ///< of what determines it; of the file's content where one was given
  double test_accuracy = 0;  ///< on the source's own test part; 0 if that was not measured (a file)
  double seconds = 0;        ///< of training; 0 if cached
  bool cached = false;
  std::string note;  ///< what a person should know: "…: not readable, trained again"; "": nothing
};

/// A file in the cache that cannot be read is replaced: it holds nothing that training would not give again. Errors: a
/// model whose classes or inputs are not those of the benchmark; a loss that is not finite; cancelled; a cache that is
/// no folder.
SourceModel get_source_model(const SourceRequest& request);

/// 16 hexadecimal digits that stand for a text.
std::string fingerprint(const std::string& text);

}  // namespace holt::transfer
