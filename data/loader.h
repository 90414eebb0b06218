// Batches of a data set: shuffled, augmented, normalised to f32, prepared ahead by threads.
//
// A batch is a pure function of (data set, options, epoch, step): sample order and augmentation are counter-based
// random numbers of (seed, epoch, sample). So a run can continue in the middle of an epoch, and threads change nothing.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "data/samples.h"
#include "data/workers.h"

namespace holt::data {

struct LoaderOptions {
  int64_t batch = 128;
  bool shuffle = false;
  bool drop_last = false;  ///< leave out a last batch that is not full
  uint64_t seed = 0;       ///< of shuffling and augmentation
  int prefetch = 2;        ///< batches prepared ahead; 0: none, and no thread
  int workers = 0;         ///< threads that prepare them; 0: one for what is in memory, else one a core
  Augment augment = {};
  Normalize normalize = {};
};

struct Batch {
  Tensor images;                 ///< f32 [B, H, W, C] on cpu
  Tensor labels;                 ///< i64 [B] on cpu
  std::vector<int64_t> samples;  ///< their positions in the data set
  /// Where images were mixed (data/mix.h): the labels of what was mixed in, i64 [B], and the share that `labels` keep.
  /// The loss is share·CE(labels) + (1 − share)·CE(other_labels). Undefined where nothing was.
  Tensor other_labels = {};
  double share = 1;
};

/// The order in which an epoch visits n samples: a permutation by (seed, epoch).
std::vector<int64_t> epoch_order(int64_t n, uint64_t seed, int64_t epoch);

class Loader {
 public:
  /// Error for an empty data set, a batch below 1, a pad beyond the image, a mean or std that does not fit the
  /// channels, an augmentation that the images cannot bear.
  Loader(Dataset dataset, LoaderOptions options);
  Loader(std::shared_ptr<const Samples> samples, LoaderOptions options);

  const Samples& samples() const { return *samples_; }
  const LoaderOptions& options() const { return options_; }
  /// Batches in an epoch.
  int64_t batches() const;

  /// The batches of one epoch from step `first` on.
  class Epoch {
   public:
    /// Nothing at the end. Throws what went wrong in a thread. Samples that cannot be read, and are to be left out
    /// (data/image_folder.h), make a batch smaller; a batch of which none can be read is an Error.
    std::optional<Batch> next() { return ahead_ ? ahead_->next() : make_(); }

   private:
    friend class Loader;
    std::function<std::optional<Batch>()> make_;
    std::unique_ptr<Workers<Batch>> ahead_;
  };
  /// Independent of this Loader's lifetime.
  Epoch epoch(int64_t epoch, int64_t first = 0) const;

 private:
  std::shared_ptr<const Samples> samples_;
  LoaderOptions options_;
};

}  // namespace holt::data
