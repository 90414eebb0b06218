#include "kernels/projective_sample.h"

#include "kernels/memory.h"
#include "kernels/parallel.h"

namespace holt {
namespace {

constexpr int kBlock = 128;  // channels whose sums stay in the nearest cache
constexpr int kRowsOfChunk =
    16;                       // rows of pixels whose share of dtheta is one partial sum; fixed, whatever the threads
constexpr int kTapWork = 10;  // elementary operations an element, for parallel_for

/// The taps of all pixels: they are the same in every image.
template <class A>
class Taps {
 public:
  Taps(const ProjectiveSample& p, const A* theta) : memory_(Cpu{}, p.pixels() * sizeof(ProjectiveTap<A>)) {
    auto* taps = memory_.as<ProjectiveTap<A>>();
    parallel_for(p.height, 2 * kTapWork * p.width, [=](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        for (int j = 0; j < p.width; ++j) taps[i * p.width + j] = projective_tap(p, theta, static_cast<int>(i), j);
    });
  }
  const ProjectiveTap<A>* get() const { return memory_.as<ProjectiveTap<A>>(); }

 private:
  Workspace memory_;
};

// dx of one image, by scattering. dx: as A, so that sums are not rounded to 16 bits.
template <class T, class A>
void scatter_image(const ProjectiveSample& p, const ProjectiveTap<A>* taps, const T* dy, A* dx) {
  std::fill(dx, dx + p.elements(), A(0));
  for (int64_t i = 0; i < p.pixels(); ++i)
    for (int k = 0; k < 4; ++k) {
      const int64_t pixel = taps[i].pixel(p, k);
      const A w = taps[i].weight(k);
      if (pixel < 0 || w == 0) continue;
      const T* from = dy + i * p.channels;
      A* to = dx + pixel * p.channels;
#pragma omp simd
      for (int c = 0; c < p.channels; ++c) to[c] += w * A(from[c]);
    }
}

template <class T, class A>
void backward_x(const ProjectiveSample& p, const ProjectiveTap<A>* taps, const T* dy, T* dx) {
  if constexpr (std::is_same_v<A, T>) {
    parallel_for(p.images, kTapWork * p.elements(), [=](int64_t begin, int64_t end) {
      for (int64_t n = begin; n < end; ++n) scatter_image(p, taps, dy + n * p.elements(), dx + n * p.elements());
    });
  } else {
    // A 16-bit dx cannot hold the sums: each thread has an image of float for them.
    const int64_t work = p.images * kTapWork * p.elements(), parts = std::min<int64_t>(p.images, threads_for(work));
    const Workspace scratch(Cpu{}, parts * p.elements() * sizeof(A));
    parallel_for(parts, work, [&](int64_t begin, int64_t end) {
      A* image = scratch.as<A>() + begin * p.elements();
      for (int64_t n = p.images * begin / parts; n < p.images * end / parts; ++n) {
        scatter_image(p, taps, dy + n * p.elements(), image);
        T* to = dx + n * p.elements();
#pragma omp simd
        for (int64_t i = 0; i < p.elements(); ++i) assign(to[i], image[i]);
      }
    });
  }
}

// Adds pixel i's share, over its channels, of one image.
template <class T, class A>
void add_pixel(const ProjectiveSample& p, const ProjectiveTap<A>& tap, const T* dy, const T* x, double (&dtheta)[8]) {
  A d_right = 0, d_down = 0;
  for (int k = 0; k < 4; ++k) {
    const int64_t pixel = tap.pixel(p, k);
    if (pixel < 0) continue;
    const T* from = x + pixel * p.channels;
    A sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int c = 0; c < p.channels; ++c) sum += A(dy[c]) * A(from[c]);
    d_right += tap.slope_right(k) * sum;
    d_down += tap.slope_down(k) * sum;
  }
  if (tap.row > -2) tap.add_to(p, d_right, d_down, dtheta);
}

template <class T, class A>
void backward_theta(const ProjectiveSample& p, const ProjectiveTap<A>* taps, const T* dy, const T* x, A* dtheta) {
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
          add_pixel(p, taps[r % p.height * p.width + j], dy + (r * p.width + j) * p.channels,
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
  using A = acc_t<T>;
  const Taps<A> table(p, theta);
  const ProjectiveTap<A>* taps = table.get();
  parallel_for(p.images * p.height, int64_t{p.width} * p.channels * kTapWork, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin * p.width; i < end * p.width; ++i) {  // pixels of all images
      const ProjectiveTap<A>& tap = taps[i % p.pixels()];
      const T* image = x + i / p.pixels() * p.elements();
      for (int c0 = 0; c0 < p.channels; c0 += kBlock) {
        const int width = std::min(kBlock, p.channels - c0);
        A sum[kBlock];
        std::fill(sum, sum + width, A(0));
        for (int k = 0; k < 4; ++k) {
          const int64_t pixel = tap.pixel(p, k);
          const A w = tap.weight(k);
          if (pixel < 0 || w == 0) continue;
          const T* from = image + pixel * p.channels + c0;
#pragma omp simd
          for (int c = 0; c < width; ++c) sum[c] += w * A(from[c]);
        }
        T* to = y + i * p.channels + c0;
#pragma omp simd
        for (int c = 0; c < width; ++c) assign(to[c], sum[c]);
      }
    }
  });
}

template <class B, class T>
void projective_sample_backward(B, ProjectiveSample p, const T* dy, const T* x, const acc_t<T>* theta, T* dx,
                                acc_t<T>* dtheta) {
  const Taps<acc_t<T>> taps(p, theta);
  if (dx) backward_x(p, taps.get(), dy, dx);
  if (dtheta) backward_theta(p, taps.get(), dy, x, dtheta);
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
