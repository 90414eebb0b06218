// The weight gradient. All threads make V and Z of a number of tiles; then each has places and output channels of its
// own, whose sums run over these tiles in order. Where one number of tiles is all there is, a thread goes on with its
// channels to dw, and no sums are in memory but its own.
#include "kernels/rooms.h"
#include "kernels/winograd.h"
#include "kernels/winograd_product.h"
#include "kernels/winograd_transforms.h"

namespace holt::winograd {
namespace {

constexpr int kSumRows = kLanes == 16 ? 8 : 4;  // input channels by kVectors vectors of output channels, in registers

template <class T>
struct WeightsPass {
  const Conv2d& p;
  const T *dy, *x;
  T* dw;
  Tiles tiles{p.n, p.out_h(), p.out_w()};

  // As many tiles as keep V and Z in the outermost cache: 2 times 9 MB at most.
  int64_t together() const { return std::clamp<int64_t>((1 << 16) / std::max(p.cin, p.cout), 32, 256); }
};

// V and Z of tiles [first + begin, first + end), whose rows are begin to end.
template <class T>
void transform_tiles(const WeightsPass<T>& g, int64_t first, int64_t begin, int64_t end, const Planes& vp, float* v,
                     const Planes& zp, float* z) {
  const Conv2d& p = g.p;
  const auto inputs = [&](int64_t tile) {
    return Window<kIn, T>(g.x, p.h, p.w, p.cin, Place(g.tiles, std::min(tile, g.tiles.count() - 1), p.pad_h, p.pad_w));
  };
  const auto outputs = [&](int64_t tile) {
    return Window<kOut, T>(g.dy, g.tiles.h, g.tiles.w, p.cout,
                           Place(g.tiles, std::min(tile, g.tiles.count() - 1), 0, 0));
  };
  for (int64_t k = begin; k < end; ++k) {
    transform_window<input_transform>(inputs(first + k), inputs(first + k + kAhead), vp, k, v);
    transform_window<output_adjoint>(outputs(first + k), outputs(first + k + kAhead), zp, k, z);
  }
}

// One place of one panel of output channels: u[cin][kColumns] (+)= the sums over `tiles` rows.
void sum_place(int64_t channels, int64_t tiles, const float* v, int64_t v_panel, const float* z, bool add, float* u) {
  for (int64_t c = 0; c < channels; c += kSumRows)
    product<kSumRows, 1, kLanes>(1, tiles, v + c / kLanes * v_panel + c % kLanes, 0, z, add, u + c * kColumns);
}

// dw of input channels [c, c + kLanes) and output channels [o, o + kColumns) from their panel of sums.
template <class T>
void finish_weights(const WeightsPass<T>& g, int64_t o, int64_t c, const float* panel) {
  constexpr int kTaps = kWindow * kWindow;
  alignas(64) float window[kTaps][kColumns][kLanes];  // [tap][output][input]
  const int64_t plane = weight_planes(g.p.cin).plane();
  for (int64_t k = 0; k < kLanes; ++k)
    for (int q = 0; q < kVectors; ++q) {
      Vec u[kIn][kIn], taps[kWindow][kWindow];
#pragma GCC unroll 36
      for (int i = 0; i < kPlaces; ++i) u[i / kIn][i % kIn] = load(panel + i * plane + (c + k) * kColumns + q * kLanes);
      both_ways<weight_adjoint>(u, taps);
      for (int tap = 0; tap < kTaps; ++tap) {
        alignas(64) float values[kLanes];
        store(values, taps[tap / kWindow][tap % kWindow]);
        for (int j = 0; j < kLanes; ++j) window[tap][q * kLanes + j][k] = values[j];
      }
    }
  for (int64_t j = 0; j < kColumns; ++j)
    for (int tap = 0; tap < kTaps; ++tap) store(g.dw + ((o + j) * kTaps + tap) * g.p.cin + c, load(window[tap][j]));
}

}  // namespace

template <class T>
void conv2d_backward_weights(const Conv2d& p, const T* dy, const T* x, T* dw) {
  const WeightsPass<T> g{p, dy, x, dw};
  const int64_t count = g.tiles.count(), together = std::min(count, g.together()), panels = p.cout / kColumns;
  const int64_t work = std::max<int64_t>(1, static_cast<int64_t>(p.flops() / 32));  // as parallel.h counts
  const Planes vp{together, p.cin, kLanes}, zp{together, p.cout, kColumns}, up = weight_planes(p.cin);
  const Workspace room(Cpu{}, (vp.size() + zp.size()) * sizeof(float));
  float *const v = room.as<float>(), *const z = v + vp.size();
  const auto sum = [&](int64_t i, int64_t panel, int64_t tiles, bool add, float* u) {
    sum_place(p.cin, tiles, v + i * vp.plane(), vp.panel(), z + i * zp.plane() + panel * zp.panel(), add,
              u + i * up.plane());
  };
  const auto transform = [&](int64_t first, int64_t tiles) {
    parallel_for(tiles, work / count,
                 [&](int64_t begin, int64_t end) { transform_tiles(g, first, begin, end, vp, v, zp, z); });
  };
  const auto finish = [&](int64_t panel, const float* u) {
    for (int64_t c = 0; c < p.cin; c += kLanes) finish_weights(g, panel * kColumns, c, u);
  };
  if (together == count) {
    transform(0, count);
    const Rooms<float> rooms(up.size());
    parallel_for(panels, work / panels, [&](int64_t begin, int64_t end) {
      for (int64_t panel = begin; panel < end; ++panel) {
        for (int64_t i = 0; i < kPlaces; ++i) sum(i, panel, count, false, rooms.own());
        finish(panel, rooms.own());
      }
    });
    return;
  }
  const Workspace sums(Cpu{}, panels * up.size() * sizeof(float));
  const auto u = [&](int64_t panel) { return sums.as<float>() + panel * up.size(); };
  for (int64_t first = 0; first < count; first += together) {
    const int64_t tiles = std::min(together, count - first);
    transform(first, tiles);
    parallel_for(panels * kPlaces, work * tiles / count / (panels * kPlaces), [&](int64_t begin, int64_t end) {
      for (int64_t k = begin; k < end; ++k) sum(k % kPlaces, k / kPlaces, tiles, first > 0, u(k / kPlaces));
    });
  }
  parallel_for(panels, p.w_size() * 4 / panels, [&](int64_t begin, int64_t end) {
    for (int64_t panel = begin; panel < end; ++panel) finish(panel, u(panel));
  });
}

template void conv2d_backward_weights(const Conv2d&, const float*, const float*, float*);
template void conv2d_backward_weights(const Conv2d&, const bf16*, const bf16*, bf16*);

}  // namespace holt::winograd
