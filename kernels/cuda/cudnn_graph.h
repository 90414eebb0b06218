// One convolution as cuDNN knows it: a graph, and plans for it. cudnn_graph.cpp is the only file that knows
// cudnn-frontend.
//
// Layout: cuDNN names the axes N, C, H, W whatever the memory order; the strides say NHWC, and weights
// [Cout, KH, KW, Cin/G] are K, C, R, S with channels last; it takes the number of groups from C. Sums are float for
// every dtype.
//
// Which engines may serve is holt's numerical contract (conv2d.h), not cuDNN's: by their numerical notes are left out
//   NONDETERMINISTIC                                    the same bits every time
//   DOWN_CONVERT_INPUTS, REDUCED_PRECISION_REDUCTION    16-bit types are summed in float, f32 is multiplied as f32
//   FFT, WINOGRAD*                                      their errors grow with the transform, not with √K
//   TENSOR_CORE, for f32 without tf32                   that is TF32: 10 bits of the mantissa
//   STRICT_NAN_PROP in the fallback list                cuDNN's naive reference engine: the own kernels are faster
// The notes are read from each engine: cudnn-frontend 1.32's own filter (deselect_numeric_notes) takes every engine
// that has any note for one with TENSOR_CORE.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "kernels/conv2d.h"

struct cudnnContext;  // cudnnHandle_t is a pointer to it

namespace holt::cudnn {

enum class Direction : uint8_t { forward, backward_data, backward_weights };

struct Problem {
  Direction direction;
  DType dtype;        ///< f32, bf16, f16
  Conv2d conv;        ///< no size is 0; relu is for forward with bias
  bool bias = false;  ///< forward only
  bool tf32 = false;  ///< f32 only: tensor cores may round the factors to TF32
};
/// "conv2d_forward bf16 [32, 56, 56, 64]->64 3x3 stride 1x1 pad 1x1 bias relu": names a problem in messages and files.
std::string to_string(const Problem&);

/// The GPU that plans are for.
class Target {
 public:
  explicit Target(cudnnContext* handle) : handle_(handle) {}
  /// A GPU that need not be there, described by cuDNN's device-properties JSON: for planning alone. cuDNN ≥ 9.8.
  static Target described_by(const std::string& json);

 private:
  friend struct Planner;
  cudnnContext* handle_ = nullptr;
  std::shared_ptr<const void> properties_;
};

/// Device pointers by role; a gradient stands where what it is the gradient of does. 16-byte aligned.
struct Tensors {
  const void *x, *w, *bias, *y;
};

/// How cuDNN will compute a problem: an engine and its settings. Cheap to copy.
class Plan {
 public:
  /// "eng62_k2=5_k13=1": engine and knobs, in cuDNN's numbers. A loaded plan names knobs at their default (-1) too.
  const std::string& engine() const;
  int64_t workspace() const;  ///< bytes, at most kMostWorkspace
  bool tensor_cores() const;
  std::string json() const;  ///< what load_plan() reads
  /// Enqueues the computation on the handle's stream. `workspace` may be null if none is needed.
  void execute(cudnnContext* handle, const Tensors&, void* workspace) const;

 private:
  friend struct Planner;
  struct State;
  std::shared_ptr<const State> state_;
};

/// Engines that want more scratch memory are passed over. In strict f32 ResNet-50's data gradients need up to 1.2 GB at
/// batch 256 (whose activations take 20 GB).
inline constexpr int64_t kMostWorkspace = int64_t{2} << 30;

/// Up to `most` plans, cuDNN's favourite first: of its heuristic mode A, or where that offers nothing, of its fallback
/// list. None: cuDNN refuses the problem. Throws Error for a graph that cuDNN calls wrong.
std::vector<Plan> make_plans(const Problem&, const Target&, size_t most = 1);

/// The plan whose json() this is. Throws Error if this cuDNN or the target does not take it.
Plan load_plan(const Problem&, const Target&, const std::string& json);

}  // namespace holt::cudnn
