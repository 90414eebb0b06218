// Named tensors in a file, in the format of Hugging Face's safetensors:
//
//   u64 n, little-endian │ n bytes of JSON, padded with spaces │ the tensors' bytes, without holes
//
//   {"__metadata__": {"key": "text"}, "fc.weight": {"dtype": "F32", "shape": [10, 84], "data_offsets": [0, 3360]}, …}
//
// dtypes: F32, BF16, F16, F64, I64, I32, U8. Source: github.com/huggingface/safetensors, whose limits (a header of at
// most 100 MB, no overlap, no hole, no duplicate name) are checked here too.
#pragma once
#include <map>
#include <string>

#include "core/tensor.h"

namespace holt {

using NamedTensors = std::map<std::string, Tensor>;
using Metadata = std::map<std::string, std::string>;

struct Safetensors {
  NamedTensors tensors;
  Metadata metadata;
};

/// Tensors on cpu, mapped from the file where their elements are aligned (else copied): nothing is read before it is
/// used, and in-place writes never reach the file. Whatever the file holds, the result is valid tensors or an Error
/// that names the file and what is wrong in it.
Safetensors read_safetensors(const std::string& path);

/// Writes atomically (see kernels/file.h): on an Error an earlier file is intact. Tensors may be on any device. Equal
/// content gives equal bytes, those that Hugging Face's own writer gives: wide dtypes first, then by name.
void write_safetensors(const std::string& path, const NamedTensors& tensors, const Metadata& metadata = {});

}  // namespace holt
