// Pretrained weights, in the forms in which people have them: safetensors and PyTorch's .pth files, with the names of
// torchvision, timm or Hugging Face (nn/weights/schemes.h), and holt's own files.
//
//   const Weights weights = read_weights("resnet50.pth");         // what it is, found out from names and shapes
//   ModelConfig config = weights.config;
//   config.classes = 10;
//   auto model = make_model(config, rng);
//   for (const std::string& note : load_weights(weights, *model)) …  // "the classifier stays the model's own, …"
//   save_weights("tuned.safetensors", *model, "torchvision");
#pragma once
#include "core/safetensors.h"
#include "nn/model.h"
#include "nn/weights/schemes.h"

namespace holt::nn {

/// What a file of weights holds, before anything is said of its meaning.
struct WeightFile {
  std::string path;
  std::string format;  ///< "safetensors" or "PyTorch"
  TensorList tensors;  ///< as they stand in it: safetensors by name, PyTorch's in the file's order
  Metadata metadata;   ///< safetensors have one
};

/// A zip archive is read as PyTorch's, all else as safetensors. A folder stands for the model.safetensors or
/// pytorch_model.bin in it. Errors name the file: what core/safetensors.h and core/torch_file.h refuse.
WeightFile read_weight_file(const std::string& path);

/// A file whose names are known.
struct Weights {
  WeightFile file;
  std::string scheme;             ///< "torchvision", "timm", "hf", "openai"; "holt": holt's own names and layout
  std::string family = {};        ///< "resnet", "vit", "clip"; "" for the other models of holt's own files
  const Scheme* names = nullptr;  ///< of the scheme; null for holt's own
  std::string prefix = {};        ///< of the names in the file: "state_dict.module."
  /// The model, its classes, channels and image size, guessed from names and shapes. `name` is "" where no model of
  /// holt's fits, `classes` 0 where the file has no classifier, the size 224 where the weights do not tell it.
  ModelConfig config;
  /// By holt's names, in the file's dtypes and order of axes: see load_weights().
  struct Piece {
    std::string theirs;  ///< its name in the file, without the prefix
    Tensor tensor;
  };
  std::map<std::string, std::vector<Piece>> pieces = {};
  /// Names in the file that the scheme does not know, and biases that it says are zero and that are not.
  std::vector<std::string> unexpected = {};
  std::vector<std::string> unused = {};  ///< outside the prefix, or known to be of no use: num_batches_tracked
};

/// Finds scheme, prefix, family and model. Error, with some of the file's names, if it is none that is known.
Weights recognise(WeightFile file);
inline Weights read_weights(const std::string& path) { return recognise(read_weight_file(path)); }

/// Copies the weights into the model; what the model has is kept where the file's cannot serve, and the notes say so:
/// a classifier for another number of classes or none (the model's stays as it was drawn); position embeddings of
/// another grid of patches (interpolated); weights of RGB images for a model of gray ones (summed: what a gray image
/// in three channels gives); 16-bit floats (widened), f64 (rounded). One Error lists the first ten missing, unexpected
/// and misshapen tensors by the file's names and shapes, or says that the file is of another family; then the model is
/// as before. Without `classifier`, that of the model is of no interest, and nothing is said of it.
std::vector<std::string> load_weights(const Weights& weights, Model& model, bool classifier = true);

/// Writes the model's weights as `scheme` names them and lays them out: a file of PyTorch (a state dict) if the path
/// ends in .pth, .pt or .bin, else safetensors. Scheme "holt" is save_model(): safetensors only. Errors: the model's
/// family has no such scheme.
void save_weights(const std::string& path, const Model& model, const std::string& scheme, const Metadata& extra = {});

/// "resnet", "vit", "clip", or "" for models that only holt has.
std::string family_of(const ModelConfig& config);
/// The schemes of a family, as a list for messages: "torchvision, timm, hf".
std::string scheme_names(std::string_view family);

}  // namespace holt::nn
