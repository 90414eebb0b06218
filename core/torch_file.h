// Checkpoints written by PyTorch's torch.save (1.6 and newer): a zip archive without compression that holds
//
//   <name>/data.pkl     a pickle: containers, and tensors that name their storage, offset, sizes and strides
//   <name>/data/0 …     the storages' bytes, little-endian
//
// beside two short texts, version and byteorder. Nothing in the file is run: core/pickle.h builds containers and
// tensors and refuses everything else. Numbers and texts beside the tensors (an epoch, an optimiser's settings) are
// passed over.
#pragma once
#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/tensor.h"

namespace holt {

/// All tensors of the file in its order, on cpu, row-major, named by the way to them: "conv1.weight", or
/// "model.conv1.weight" and "optimizer.state.0.exp_avg" where the file holds a dict of dicts. Tensors that share a
/// storage in the file share it here. bool is read as u8. Whatever the file holds, the result is valid tensors or an
/// Error that names the file and what is wrong in it; memory stays within a small multiple of the file's size.
std::vector<std::pair<std::string, Tensor>> read_torch_file(const std::string& path);

/// The same from memory; `source` begins the message of an Error.
std::vector<std::pair<std::string, Tensor>> read_torch_file(std::span<const std::byte> bytes,
                                                            const std::string& source);

/// Writes a state dict, an OrderedDict of tensors in the order given, that torch.load reads (weights_only too).
/// Atomically, as kernels/file.h; tensors of f32, bf16, f16, f64, i64, i32 or u8 on any device. Error if the file would
/// have 4 GiB or more: safetensors have no such limit.
void write_torch_file(const std::string& path, const std::vector<std::pair<std::string, Tensor>>& tensors);

/// Whether the file begins as a zip archive does.
bool is_zip_file(const std::string& path);

}  // namespace holt
