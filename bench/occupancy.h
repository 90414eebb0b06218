// How many blocks of a kernel one multiprocessor holds, from CUDA's rules (cuda_occupancy.h) and a GPU's limits.
#pragma once
#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "core/json.h"
#include "kernels/error.h"
#include "kernels/file.h"

namespace holt::bench {

/// Limits of one multiprocessor.
struct Multiprocessor {
  std::string name;
  int registers = 0, shared = 0, reserved_shared = 0, threads = 0, blocks = 0;
};

/// From tests/gpu/<file>.json, which hold cuDNN's device properties.
inline Multiprocessor read_multiprocessor(const std::filesystem::path& json) {
  const auto j = parse_json(read_file(json.string()));
  const int reserved = j.at("reservedSharedMemoryPerBlock");
  return {j.at("deviceName"), j.at("maxRegistersPerSM"), j.at("maxSharedMemoryPerBlockOptin").get<int>() + reserved,
          reserved,           j.at("maxThreadsPerSM"),   j.at("maxCtasPerSM")};
}

/// What a block of a kernel takes.
struct BlockNeeds {
  int threads = 0, registers = 0, shared = 0;  ///< registers of a thread; shared: static and dynamic bytes
};

/// Blocks that one multiprocessor holds at a time; 0: the kernel cannot run there.
inline int resident_blocks(const Multiprocessor& m, const BlockNeeds& b) {
  const auto rounded = [](int x, int to) { return (x + to - 1) / to * to; };
  const int warps = (b.threads + 31) / 32;
  const int of_a_warp = rounded(32 * std::max(b.registers, 1), 256);  // registers are given to warps by 256
  const int warps_by_registers = m.registers / 4 / of_a_warp * 4;     // each of four partitions has its own
  return std::min({m.blocks, m.threads / (32 * warps), warps_by_registers / warps,
                   m.shared / rounded(b.shared + m.reserved_shared, 128)});
}

/// Threads of the resident blocks over those that the multiprocessor could hold, in percent.
inline int occupancy_percent(const Multiprocessor& m, const BlockNeeds& b) {
  return resident_blocks(m, b) * ((b.threads + 31) / 32) * 32 * 100 / m.threads;
}

}  // namespace holt::bench
