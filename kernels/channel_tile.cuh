// How a [R, C] matrix is cut for sums over rows: a block takes `lanes`·V channels, its threads stand lanes × row_lanes,
// lanes on neighbouring channels. Every request is then whole sectors, and with few channels (C = 16) the lanes are few
// and the rows many, so that no thread idles.
#pragma once
#include "kernels/vectors.cuh"

namespace holt {

inline constexpr int kTileThreads = 256;

struct ChannelTile {
  int64_t rows, channels;
  int lanes;              ///< a power of two up to 32; each has V channels
  int64_t rows_per_part;  ///< rows that one block walks
  int64_t parts;          ///< cdiv(rows, rows_per_part)

  /// At most max_parts parts; at least `least` rows for each thread of a part.
  ChannelTile(int64_t rows, int64_t channels, int v, int64_t max_parts, int64_t least)
      : rows(rows), channels(channels) {
    lanes = 1;
    while (lanes < 32 && lanes * v < channels) lanes *= 2;
    rows_per_part = cdiv(rows, max_parts);
    if (rows_per_part < least * (kTileThreads / lanes)) rows_per_part = least * (kTileThreads / lanes);
    parts = cdiv(rows, rows_per_part);
  }
  dim3 grid(int v) const { return dim3(parts, cdiv(channels, lanes * v)); }
};

/// The calling thread's place in a tile.
template <int V>
struct TileThread {
  int lane, row_lane, row_lanes;
  int64_t c, first, last;  ///< first of its V channels; its rows are first, first + row_lanes, … below last

  __device__ explicit TileThread(const ChannelTile& t)
      : lane(threadIdx.x % t.lanes),
        row_lane(threadIdx.x / t.lanes),
        row_lanes(kTileThreads / t.lanes),
        c((int64_t{blockIdx.y} * t.lanes + lane) * V),
        first(blockIdx.x * t.rows_per_part + row_lane),
        last(blockIdx.x * t.rows_per_part + t.rows_per_part) {
    if (last > t.rows) last = t.rows;
    if (c >= t.channels) first = last;  // no rows: the thread still meets the block's barriers
  }
};

}  // namespace holt
