// What a Loader reads: labelled images, each made when it is asked for.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "data/augment.h"
#include "data/dataset.h"

namespace holt::data {

/// y = (x − mean) / std for each channel, on pixels scaled to 0 … 1 (u8) or as they are (f32).
struct Normalize {
  std::vector<float> mean = {}, std = {};  ///< one for each channel; empty: 0 and 1
};

/// y = x·scale[c] + shift[c], which Normalize comes to.
struct ScaleShift {
  std::vector<float> scale, shift;
  /// `bytes`: the pixels are 0 … 255.
  ScaleShift(const Normalize&, int64_t channels, bool bytes);
};

/// How a sample is to come out in one epoch.
struct Making {
  Augment augment = {};
  uint64_t seed = 0;
  int64_t epoch = 0;
};

class Samples {
 public:
  virtual ~Samples() = default;
  virtual const std::string& name() const = 0;
  virtual const std::vector<std::string>& classes() const = 0;
  virtual int64_t size() const = 0;
  virtual int64_t label(int64_t i) const = 0;
  /// [H, W, C] of every image made.
  virtual Shape image_shape() const = 0;
  /// Error if images cannot be made so.
  virtual void check(const Augment&) const = 0;
  /// Sample i, augmented and normalised, at out[H·W·C]. A function of its arguments (and of files that stay as they
  /// are); from any number of threads. False where the sample cannot be read and is to be left out.
  virtual bool make(int64_t i, const Making&, const ScaleShift&, float* out) const = 0;
  /// Whether pixels are 0 … 255 before normalising.
  virtual bool bytes() const = 0;
  /// Whether a sample takes so long that each is worth a thread's turn.
  virtual bool slow() const = 0;

  int64_t num_classes() const { return static_cast<int64_t>(classes().size()); }
};

/// A data set in memory.
std::shared_ptr<const Samples> in_memory(Dataset dataset);

/// Where one sample's pixels come from: output pixel (y, x) is input (y + dy, x + dx), x counted from the right if
/// flipped; outside is zero.
struct Placement {
  int64_t dy = 0, dx = 0;
  bool flip = false;
};
/// The shift and the mirror that an epoch gives a sample.
Placement placement(const Making&, int64_t sample);
/// The draws of what changes a sample's pixels.
Draws pixel_draws(const Making&, int64_t sample);

/// One image [H, W, C], moved and normalised. T: uint8_t, float.
template <class T>
void write_image(const T* image, const Shape& shape, Placement p, const ScaleShift& by, float* out);

}  // namespace holt::data
