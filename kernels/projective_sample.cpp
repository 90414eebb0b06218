#include "kernels/projective_sample.h"

#include <type_traits>

#include "kernels/memory.h"
#include "kernels/parallel.h"

namespace holt {
namespace {

constexpr int kBlock = 128;  // channels whose sums stay in the nearest cache
constexpr int kRowsOfChunk =
    16;                       // rows of pixels whose share of dtheta is one partial sum; fixed, whatever the threads
constexpr int kTapWork = 10;  // elementary operations an element, for parallel_for

/// A tap with what every image asks of it: pixels and weights. A pixel outside the image is −1 and has weight 0.
template <class A>
struct TableTap : ProjectiveTap<A> {
  int32_t pixels[4];
  A weights[4];
};

/// The taps of all pixels: they are the same in every image.
template <class A>
class Table {
 public:
  Table(const ProjectiveSample& p, const A* theta) : memory_(Cpu{}, p.pixels() * sizeof(TableTap<A>)) {
    auto* taps = memory_.as<TableTap<A>>();
    parallel_for(p.height, 3 * kTapWork * p.width, [=](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        for (int j = 0; j < p.width; ++j) {
          TableTap<A> tap{projective_tap(p, theta, static_cast<int>(i), j), {}, {}};
          for (int k = 0; k < 4; ++k) {
            tap.pixels[k] = static_cast<int32_t>(tap.pixel(p, k));
            tap.weights[k] = tap.pixels[k] < 0 ? A(0) : tap.weight(k);
          }
          taps[i * p.width + j] = tap;
        }
    });
  }
  const TableTap<A>* taps() const { return memory_.as<TableTap<A>>(); }

 private:
  Workspace memory_;
};

/// f(std::integral_constant<int, C>): C = channels where images have one or three, so that their loops disappear; else
/// 0.
template <class F>
void with_channels(int channels, F&& f) {
  if (channels == 1)
    f(std::integral_constant<int, 1>{});
  else if (channels == 3)
    f(std::integral_constant<int, 3>{});
  else
    f(std::integral_constant<int, 0>{});
}

// y of one output pixel; its channels from c0 on, `width` of them.
template <int C, class T, class A>
void sample_pixel(const TableTap<A>& tap, const T* image, int channels, int c0, int width, T* y) {
  A sum[C ? C : kBlock];
  for (int c = 0; c < width; ++c) sum[c] = 0;
  for (int k = 0; k < 4; ++k) {
    const A w = tap.weights[k];
    if (w == 0) continue;
    const T* from = image + int64_t{tap.pixels[k]} * channels + c0;
#pragma omp simd
    for (int c = 0; c < width; ++c) sum[c] += w * A(from[c]);
  }
#pragma omp simd
  for (int c = 0; c < width; ++c) assign(y[c0 + c], sum[c]);
}

// dx of one image, by scattering. dx: as A, so that sums are not rounded to 16 bits.
template <int C, class T, class A>
void scatter_image(const ProjectiveSample& p, const TableTap<A>* taps, const T* dy, A* dx) {
  const int channels = C ? C : p.channels;
  std::fill(dx, dx + p.elements(), A(0));
  for (int64_t i = 0; i < p.pixels(); ++i)
    for (int k = 0; k < 4; ++k) {
      const A w = taps[i].weights[k];
      if (w == 0) continue;
      const T* from = dy + i * channels;
      A* to = dx + int64_t{taps[i].pixels[k]} * channels;
#pragma omp simd
      for (int c = 0; c < channels; ++c) to[c] += w * A(from[c]);
    }
}

template <int C, class T, class A>
void backward_x(const ProjectiveSample& p, const TableTap<A>* taps, const T* dy, T* dx) {
  if constexpr (std::is_same_v<A, T>) {
    parallel_for(p.images, kTapWork * p.elements(), [=](int64_t begin, int64_t end) {
      for (int64_t n = begin; n < end; ++n) scatter_image<C>(p, taps, dy + n * p.elements(), dx + n * p.elements());
    });
  } else {
    // A 16-bit dx cannot hold the sums: each thread has an image of float for them.
    const int64_t work = p.images * kTapWork * p.elements(), parts = std::min<int64_t>(p.images, threads_for(work));
    const Workspace scratch(Cpu{}, parts * p.elements() * sizeof(A));
    parallel_for(parts, work, [&](int64_t begin, int64_t end) {
      A* image = scratch.as<A>() + begin * p.elements();
      for (int64_t n = p.images * begin / parts; n < p.images * end / parts; ++n) {
        scatter_image<C>(p, taps, dy + n * p.elements(), image);
        T* to = dx + n * p.elements();
#pragma omp simd
        for (int64_t i = 0; i < p.elements(); ++i) assign(to[i], image[i]);
      }
    });
  }
}

// Adds the share of one output pixel, over its channels, of one image.
template <int C, class T, class A>
void add_pixel(const ProjectiveSample& p, const TableTap<A>& tap, const T* dy, const T* x, double (&dtheta)[8]) {
  const int channels = C ? C : p.channels;
  A d_right = 0, d_down = 0;
  for (int k = 0; k < 4; ++k) {
    if (tap.pixels[k] < 0) continue;
    const T* from = x + int64_t{tap.pixels[k]} * channels;
    A sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int c = 0; c < channels; ++c) sum += A(dy[c]) * A(from[c]);
    d_right += tap.slope_right(k) * sum;
    d_down += tap.slope_down(k) * sum;
  }
  if (tap.row > -2) tap.add_to(p, d_right, d_down, dtheta);
}

template <int C, class T, class A>
void backward_theta(const ProjectiveSample& p, const TableTap<A>* taps, const T* dy, const T* x, A* dtheta) {
  struct Partial {
    double sums[8] = {};
  };
  const int64_t rows = p.images * p.height, chunks = (rows + kRowsOfChunk - 1) / kRowsOfChunk;
  const Workspace memory(Cpu{}, chunks * sizeof(Partial));
  auto* partial = memory.as<Partial>();
  parallel_for(chunks, kRowsOfChunk * kTapWork * int64_t{p.width} * p.channels, [=](int64_t begin, int64_t end) {
    for (int64_t chunk = begin; chunk < end; ++chunk) {
      Partial part;
      for (int64_t r = chunk * kRowsOfChunk; r < std::min(rows, (chunk + 1) * kRowsOfChunk); ++r)
        for (int j = 0; j < p.width; ++j)
          add_pixel<C>(p, taps[r % p.height * p.width + j], dy + (r * p.width + j) * p.channels,
                       x + r / p.height * p.elements(), part.sums);
      partial[chunk] = part;
    }
  });
  for (int k = 0; k < 8; ++k) {
    double sum = 0;
    for (int64_t chunk = 0; chunk < chunks; ++chunk) sum += partial[chunk].sums[k];
    dtheta[k] = A(sum);
  }
}

}  // namespace

template <class B, class T>
void projective_sample_forward(B, ProjectiveSample p, const T* x, const acc_t<T>* theta, T* y) {
  const Table<acc_t<T>> table(p, theta);
  with_channels(p.channels, [&]<int C>(std::integral_constant<int, C>) {
    const int channels = C ? C : p.channels;
    parallel_for(p.images * p.height, int64_t{p.width} * channels * kTapWork, [=, &table](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {  // rows of all images
        const auto* taps = table.taps() + r % p.height * p.width;
        const T* image = x + r / p.height * p.elements();
        T* to = y + r * p.width * channels;
        for (int j = 0; j < p.width; ++j, to += channels)
          if constexpr (C != 0)
            sample_pixel<C>(taps[j], image, C, 0, C, to);
          else
            for (int c = 0; c < channels; c += kBlock)
              sample_pixel<0>(taps[j], image, channels, c, std::min(kBlock, channels - c), to);
      }
    });
  });
}

template <class B, class T>
void projective_sample_backward(B, ProjectiveSample p, const T* dy, const T* x, const acc_t<T>* theta, T* dx,
                                acc_t<T>* dtheta) {
  const Table<acc_t<T>> table(p, theta);
  with_channels(p.channels, [&]<int C>(std::integral_constant<int, C>) {
    if (dx) backward_x<C>(p, table.taps(), dy, dx);
    if (dtheta) backward_theta<C>(p, table.taps(), dy, x, dtheta);
  });
}

#define INSTANTIATE(T)                                                                           \
  template void projective_sample_forward(Cpu, ProjectiveSample, const T*, const acc_t<T>*, T*); \
  template void projective_sample_backward(Cpu, ProjectiveSample, const T*, const T*, const acc_t<T>*, T*, acc_t<T>*);
INSTANTIATE(float)
INSTANTIATE(bf16)
INSTANTIATE(f16)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace holt
