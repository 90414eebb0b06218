// The forward pass and, with w turned, the data gradient. Two orders of work:
//
//   by tiles      where there are many. U is made first; then each thread takes blocks of tiles through all three
//                 steps, and V and M stay in its cache
//   by channels   where U would not even fit the outermost cache. All threads make V; then each makes and uses U for
//                 output channels of its own
#include "kernels/winograd.h"

#include <limits>

#include "kernels/environment.h"
#include "kernels/rooms.h"
#include "kernels/winograd_product.h"
#include "kernels/winograd_transforms.h"

namespace holt::winograd {
namespace {

constexpr int64_t kBlock = 48;         // tiles: V and M of 64 channels are 700 KB
constexpr int64_t kFewTiles = 2 * 64;  // up to here by channels

// A convolution as both passes see it: an image, where its windows begin, and what comes out.
template <class T>
struct Pass3x3 {
  const T* x;
  int64_t h, w, in, up, left;  // of x; its padding
  Tiles tiles;
  int64_t out;  // channels
  T* y;
  Epilogue<T> epilogue;

  Planes planes(int64_t rows) const { return {(rows + kRows - 1) / kRows * kRows, in, kLanes}; }
};

// V of tiles [first, first + count), from row `at` of V on; the rows up to a multiple of kRows are 0.
template <class T>
void transform_input(const Pass3x3<T>& p, int64_t first, int64_t count, const Planes& planes, int64_t at, float* v) {
  const auto window = [&](int64_t tile) {
    return Window<kIn, T>(p.x, p.h, p.w, p.in, Place(p.tiles, std::min(tile, p.tiles.count() - 1), p.up, p.left));
  };
  for (int64_t k = 0; k < count; ++k)
    transform_window<input_transform>(window(first + k), window(first + k + kAhead), planes, at + k, v);
  for (int64_t k = at + count; k % kRows; ++k)
    for (int64_t i = 0; i < kPlaces; ++i)
      for (int64_t c = 0; c < p.in; c += kLanes)
        store(v + i * planes.plane() + c / kLanes * planes.panel() + k * kLanes, Vec{});
}

// y of tiles [first, first + count) and channels [o, o + kColumns) from M, whose rows are those tiles.
template <class T>
void transform_output(const Pass3x3<T>& p, int64_t first, int64_t count, int64_t o, const Planes& planes,
                      const float* m) {
  for (int64_t k = 0; k < count; ++k) {
    const Place at(p.tiles, first + k, 0, 0);
    const int64_t rows = std::min<int64_t>(kOut, p.tiles.h - at.row),
                  columns = std::min<int64_t>(kOut, p.tiles.w - at.column);
    const int64_t pixel = ((at.image * p.tiles.h + at.row) * p.tiles.w + at.column) * p.out + o;
    for (int64_t q = 0; q < kColumns; q += kLanes) {
      Vec from[kIn][kIn], sums[kOut][kOut];
#pragma GCC unroll 36
      for (int i = 0; i < kPlaces; ++i) from[i / kIn][i % kIn] = load(m + i * planes.plane() + k * kColumns + q);
      both_ways<output_transform>(from, sums);
      const Epilogue<T>& e = p.epilogue;
      const Vec scale = e.scale ? load(e.scale + o + q) : Vec{} + 1, shift = e.shift ? load(e.shift + o + q) : Vec{};
      for (int64_t r = 0; r < rows; ++r)
        for (int64_t s = 0; s < columns; ++s) {
          const int64_t i = pixel + (r * p.tiles.w + s) * p.out + q;
          Vec value = sums[r][s] * scale + shift;
          if (e.residual) value += load(e.residual + i);
          if (e.relu) value = value < 0 ? Vec{} : value;  // NaN stays
          store(p.y + i, value);
        }
    }
  }
}

// M of one panel of output channels: rows of V by the panel of U.
void multiply(const Planes& vp, const float* v, int64_t rows, int64_t channels, const float* u, const Planes& mp,
              float* m) {
  const Planes up = weight_planes(channels);
  for (int64_t i = 0; i < kPlaces; ++i)
    for (int64_t r = 0; r < rows; r += kRows)
      product<kRows, kLanes, 1>(channels / kLanes, kLanes, v + i * vp.plane() + r * kLanes, vp.panel(),
                                u + i * up.plane(), false, m + i * mp.plane() + r * kColumns);
}

// U of all output channels, panel after panel.
struct AllWeights {
  Workspace memory;
  int64_t panel_size;

  template <class W>
  AllWeights(int64_t in, int64_t out, const WeightSource<W>& w)
      : memory(Cpu{}, out / kColumns * weight_planes(in).size() * sizeof(float)), panel_size(weight_planes(in).size()) {
    const int64_t pieces = in / kLanes;
    parallel_for(out / kColumns * pieces, 2 * kPlaces * kLanes * kColumns, [&](int64_t begin, int64_t end) {
      for (int64_t k = begin; k < end; ++k)
        transform_weights(w, k / pieces * kColumns, k % pieces * kLanes, memory.as<float>() + k / pieces * panel_size);
    });
  }
  const float* panel(int64_t i) const { return memory.as<float>() + i * panel_size; }
};

template <class T>
void by_tiles(const Pass3x3<T>& p, const AllWeights& u, int64_t work) {
  const int64_t panels = p.out / kColumns, count = p.tiles.count(), blocks = (count + kBlock - 1) / kBlock;
  const Planes vp = p.planes(kBlock), mp{vp.rows, kColumns, kColumns};
  const Rooms<float> rooms(vp.size() + mp.size());
  parallel_for(blocks, work / blocks, [&](int64_t begin, int64_t end) {
    float *const v = rooms.own(), *const m = v + vp.size();
    for (int64_t first = begin * kBlock; first < std::min(count, end * kBlock); first += kBlock) {
      const int64_t tiles = std::min(kBlock, count - first);
      transform_input(p, first, tiles, vp, 0, v);
      for (int64_t panel = 0; panel < panels; ++panel) {
        multiply(vp, v, tiles, p.in, u.panel(panel), mp, m);
        transform_output(p, first, tiles, panel * kColumns, mp, m);
      }
    }
  });
}

// `u`: if it is there already.
template <class T, class W>
void by_channels(const Pass3x3<T>& p, const WeightSource<W>& w, const AllWeights* u, int64_t work) {
  const int64_t count = p.tiles.count(), panels = p.out / kColumns;
  const Planes vp = p.planes(count), mp{p.planes(kBlock).rows, kColumns, kColumns}, up = weight_planes(p.in);
  const Workspace v(Cpu{}, vp.size() * sizeof(float));
  parallel_for((count + kRows - 1) / kRows, work / count, [&](int64_t begin, int64_t end) {
    const int64_t first = begin * kRows;
    transform_input(p, first, std::min(count, end * kRows) - first, vp, first, v.as<float>());
  });
  const Rooms<float> rooms(mp.size() + (u ? 0 : up.size()));
  parallel_for(panels, work / panels, [&](int64_t begin, int64_t end) {
    float *const m = rooms.own(), *const made = m + mp.size();
    for (int64_t panel = begin; panel < end; ++panel) {
      if (!u)
        for (int64_t c = 0; c < p.in; c += kLanes) transform_weights(w, panel * kColumns, c, made);
      for (int64_t first = 0; first < count; first += kBlock) {
        const int64_t tiles = std::min(kBlock, count - first);
        multiply(vp, v.as<float>() + first * kLanes, tiles, p.in, u ? u->panel(panel) : made, mp, m);
        transform_output(p, first, tiles, panel * kColumns, mp, m);
      }
    }
  });
}

template <class T, class W>
void convolve(const Pass3x3<T>& p, const WeightSource<W>& w, double flops, Packed* packed = nullptr) {
  const int64_t work = std::max<int64_t>(1, static_cast<int64_t>(flops / 32));  // as parallel.h counts
  const auto all = [&] { return std::make_shared<AllWeights>(p.in, p.out, w); };
  const auto kept = packed ? packed->get<AllWeights>([](const AllWeights&) { return true; }, all) : nullptr;
  if (p.tiles.count() <= kFewTiles)
    by_channels(p, w, kept.get(), work);
  else
    by_tiles(p, kept ? *kept : *all(), work);
}

// With fewer tiles the weights' transform is most of the work. Where the processor has products of bf16, direct ones
// are twice as fast as float's, with AMX sixteen times.
template <class T>
constexpr int64_t enough_tiles([[maybe_unused]] Pass pass) {
  if (std::is_same_v<T, float>) return 16;
#if defined(__AMX_BF16__)
  return std::numeric_limits<int64_t>::max();
#elif defined(__AVX512BF16__)
  return pass == Pass::forward ? 128 : 64;
#else
  return 16;
#endif
}

}  // namespace

template <class T>
bool suits(const Conv2d& p, Pass pass) {
  const bool shape = p.kh == kWindow && p.kw == kWindow && p.stride_h == 1 && p.stride_w == 1 && p.dilation_h == 1 &&
                     p.dilation_w == 1 && p.groups == 1 && p.pad_h < kWindow && p.pad_w < kWindow;
  if (!shape || p.cin % kColumns != 0 || p.cout % kColumns != 0) return false;
  return Tiles{p.n, p.out_h(), p.out_w()}.count() >= enough_tiles<T>(pass) &&
         environment_switch("HOLT_WINOGRAD",
                            "HOLT_WINOGRAD: expected 0 (direct convolutions) or 1 (Winograd's where faster), got '{}'",
                            true);
}

template <class T, class W>
void conv2d_forward(const Conv2d& p, const T* x, const W* w, const Epilogue<T>& epilogue, T* y, Packed* packed) {
  convolve<T, W>({x, p.h, p.w, p.cin, p.pad_h, p.pad_w, {p.n, p.out_h(), p.out_w()}, p.cout, y, epilogue},
                 {w, p.cin, p.cout, false}, p.flops(), packed);
}

template <class T>
void conv2d_backward_data(const Conv2d& p, const T* dy, const T* w, T* dx) {
  convolve<T, T>(
      {dy, p.out_h(), p.out_w(), p.cout, kWindow - 1 - p.pad_h, kWindow - 1 - p.pad_w, {p.n, p.h, p.w}, p.cin, dx, {}},
      {w, p.cin, p.cout, true}, p.flops());
}

#define INSTANTIATE(T)                         \
  template bool suits<T>(const Conv2d&, Pass); \
  template void conv2d_backward_data(const Conv2d&, const T* dy, const T* w, T* dx);
INSTANTIATE(float)
INSTANTIATE(bf16)
#undef INSTANTIATE

#define INSTANTIATE(T, W) \
  template void conv2d_forward(const Conv2d&, const T* x, const W* w, const Epilogue<T>&, T* y, Packed*);
INSTANTIATE(float, float)
INSTANTIATE(bf16, bf16)
INSTANTIATE(bf16, float)
#undef INSTANTIATE

}  // namespace holt::winograd
