// Batches of a data set: shuffled, augmented, normalised to f32, prepared ahead by a thread.
//
// A batch is a pure function of (data set, options, epoch, step): sample order and augmentation are counter-based
// random numbers of (seed, epoch, sample). So a run can continue in the middle of an epoch, and threads change nothing.
#pragma once
#include <memory>
#include <optional>
#include <vector>

#include "data/dataset.h"
#include "data/prefetch.h"

namespace holt::data {

/// y = (x − mean) / std for each channel, on pixels scaled to 0 … 1 (u8) or as they are (f32).
struct Normalize {
  std::vector<float> mean = {}, std = {};  ///< one for each channel; empty: 0 and 1
};

/// What small images bear (He et al. 2016, §4.2).
struct Augment {
  int pad = 0;        ///< shift by up to `pad` pixels each way: zero padding, then a random crop of the old size
  bool flip = false;  ///< left-right, with probability ½
};

struct LoaderOptions {
  int64_t batch = 128;
  bool shuffle = false;
  bool drop_last = false;  ///< leave out a last batch that is not full
  uint64_t seed = 0;       ///< of shuffling and augmentation
  int prefetch = 2;        ///< batches prepared ahead; 0: none, and no thread
  Augment augment = {};
  Normalize normalize = {};
};

struct Batch {
  Tensor images;                 ///< f32 [B, H, W, C] on cpu
  Tensor labels;                 ///< i64 [B] on cpu
  std::vector<int64_t> samples;  ///< their positions in the data set
};

/// The order in which an epoch visits n samples: a permutation by (seed, epoch).
std::vector<int64_t> epoch_order(int64_t n, uint64_t seed, int64_t epoch);

class Loader {
 public:
  /// Error for an empty data set, a batch below 1, a pad beyond the image, a mean or std that does not fit the
  /// channels.
  Loader(Dataset dataset, LoaderOptions options);

  const Dataset& dataset() const { return *dataset_; }
  const LoaderOptions& options() const { return options_; }
  /// Batches in an epoch.
  int64_t batches() const;

  /// The batches of one epoch from step `first` on.
  class Epoch {
   public:
    /// Nothing at the end. Throws what went wrong in the thread.
    std::optional<Batch> next() { return ahead_ ? ahead_->next() : make_(); }

   private:
    friend class Loader;
    std::function<std::optional<Batch>()> make_;
    std::unique_ptr<Prefetch<Batch>> ahead_;
  };
  /// Independent of this Loader's lifetime.
  Epoch epoch(int64_t epoch, int64_t first = 0) const;

 private:
  std::shared_ptr<const Dataset> dataset_;
  LoaderOptions options_;
};

}  // namespace holt::data
