#include "kernels/onednn.h"

#include <array>
#include <dnnl.hpp>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "kernels/hash.h"
#include "kernels/memory.h"
#include "kernels/parallel.h"

namespace holt::onednn {
namespace {

using dnnl::memory;

const dnnl::engine& engine() {
  static const dnnl::engine cpu(dnnl::engine::kind::cpu, 0);
  return cpu;
}

memory::data_type data_type(DType t) { return t == DType::bf16 ? memory::data_type::bf16 : memory::data_type::f32; }

// ---- What differs between oneDNN 2 and 3 ----

void append_activation(dnnl::post_ops& ops, Activation a) {
  if (a == Activation::none) return;
  const auto kind = a == Activation::relu        ? dnnl::algorithm::eltwise_relu
                    : a == Activation::gelu      ? dnnl::algorithm::eltwise_gelu_erf
                    : a == Activation::gelu_tanh ? dnnl::algorithm::eltwise_gelu_tanh
                                                 : dnnl::algorithm::eltwise_swish;
  const float beta = kind == dnnl::algorithm::eltwise_swish ? swish_of<float>(a).beta : 0;
#if DNNL_VERSION_MAJOR >= 3
  ops.append_eltwise(kind, beta, 0);
#else
  ops.append_eltwise(1, kind, beta, 0);
#endif
}

// The description of primitive P; args as both versions order them.
template <class P, class... A>
typename P::primitive_desc describe(const dnnl::primitive_attr& attr, const A&... args) {
#if DNNL_VERSION_MAJOR >= 3
  return typename P::primitive_desc(engine(), args..., attr);
#else
  return typename P::primitive_desc(typename P::desc(args...), attr, engine());
#endif
}

// The same for a backward, which wants to see the forward's.
template <class P, class Forward, class... A>
typename P::primitive_desc describe_backward(const dnnl::primitive_attr& attr, const Forward& forward,
                                             const A&... args) {
#if DNNL_VERSION_MAJOR >= 3
  return typename P::primitive_desc(engine(), args..., forward, attr);
#else
  return typename P::primitive_desc(typename P::desc(args...), attr, engine(), forward);
#endif
}

// ---- Primitives, kept by shape ----

// What a call is: kind, dtype, threads, sizes, flags. oneDNN shares out its work for a number of threads when a
// primitive is made, so that number is part of what tells primitives apart.
using Key = std::array<int64_t, 19>;
enum Kind : int64_t { kMatmul, kForward, kBackwardData, kBackwardWeights, kAffine };

struct Primitive {
  dnnl::primitive run;
  std::array<memory::desc, 4> args{};  // src, weights, dst, bias, or their gradients
  memory::desc scratch;
  // Set where oneDNN prefers weights in an order of its own: `plain` is holt's, and `repack` goes between the two (from
  // oneDNN's to ours for a gradient).
  std::optional<dnnl::primitive> repack{};
  memory::desc plain{}, repack_scratch{};
};
using Made = std::shared_ptr<const Primitive>;

class Cache {
 public:
  template <class Make>
  Made get(const Key& key, Make&& make) {
    {
      const std::lock_guard lock(mutex_);
      if (auto found = by_key_.find(key); found != by_key_.end()) {
        order_.splice(order_.begin(), order_, found->second);
        return found->second->second;
      }
    }
    Made made = std::make_shared<const Primitive>(make());  // slow: not under the lock
    const std::lock_guard lock(mutex_);
    if (auto found = by_key_.find(key); found != by_key_.end()) return found->second->second;
    order_.emplace_front(key, made);
    by_key_[key] = order_.begin();
    if (order_.size() > kCapacity) {
      by_key_.erase(order_.back().first);
      order_.pop_back();
    }
    return made;
  }

 private:
  static constexpr size_t kCapacity = 2048;  // ResNet-101 training needs about 120, at about 50 KB each
  std::mutex mutex_;
  std::list<std::pair<Key, Made>> order_;  // most recently used first
  std::unordered_map<Key, decltype(order_)::iterator, IntegersHash> by_key_;
};

Cache& cache() {
  engine();  // made first, so that it outlives the primitives
  static Cache primitives;
  return primitives;
}

dnnl::stream& stream() {
  thread_local dnnl::stream s(engine());
  return s;
}

// A repacking between holt's order of the weights and oneDNN's, if they differ.
void plan_repack(Primitive& p, const memory::desc& plain, bool from_plain, const dnnl::primitive_attr& attr) {
  if (p.args[1] == plain) return;
  const memory::desc &from = from_plain ? plain : p.args[1], &to = from_plain ? p.args[1] : plain;
  const dnnl::reorder::primitive_desc pd(engine(), from, engine(), to, attr);
  p.repack = dnnl::reorder(pd);
  p.plain = plain;
  p.repack_scratch = pd.scratchpad_desc();
}

constexpr size_t kLine = 64;
size_t padded(size_t bytes) { return (bytes + kLine - 1) / kLine * kLine; }
void* address(const void* p) { return const_cast<void*>(p); }  // oneDNN knows no const

struct Names {  // oneDNN's names for src, weights and dst in this kind of primitive
  int src, weights, dst;
};
constexpr Names kForwardNames{DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST};
constexpr Names kDataNames{DNNL_ARG_DIFF_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DIFF_DST};
constexpr Names kWeightsNames{DNNL_ARG_SRC, DNNL_ARG_DIFF_WEIGHTS, DNNL_ARG_DIFF_DST};

// holt's order of the weights to oneDNN's, or the way back.
void repack(const Primitive& p, const memory& from, const memory& to, void* scratch) {
  p.repack->execute(
      stream(),
      {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}, {DNNL_ARG_SCRATCHPAD, memory(p.repack_scratch, engine(), scratch)}});
}

// `ordered`: the weights are in oneDNN's order already.
void execute(const Primitive& p, Names names, const void* src, const void* weights, const void* dst, const void* bias,
             bool ordered = false) {
  const bool reorders = p.repack && !ordered;
  const size_t scratch = padded(std::max(p.scratch.get_size(), reorders ? p.repack_scratch.get_size() : 0));
  const Workspace workspace(Device::cpu, scratch + (reorders ? p.args[1].get_size() : 0));
  const bool gradient = names.weights == DNNL_ARG_DIFF_WEIGHTS;
  const memory w(p.args[1], engine(), reorders ? workspace.as<char>() + scratch : address(weights));
  const memory plain = reorders ? memory(p.plain, engine(), address(weights)) : w;
  if (reorders && !gradient) repack(p, plain, w, workspace.as<void>());
  std::unordered_map<int, memory> args{
      {names.src, memory(p.args[0], engine(), address(src))},
      {names.weights, w},
      {names.dst, memory(p.args[2], engine(), address(dst))},
      {DNNL_ARG_SCRATCHPAD, memory(p.scratch, engine(), workspace.as<void>())},
  };
  if (bias) args.emplace(DNNL_ARG_BIAS, memory(p.args[3], engine(), address(bias)));
  p.run.execute(stream(), args);
  if (reorders && gradient) repack(p, w, plain, workspace.as<void>());
  stream().wait();
}

// Threads for that many multiply-adds: parallel.h counts eight of them as one operation.
int threads_for_products(double flops) { return threads_for(static_cast<int64_t>(flops / 16)); }

// `sum`: what dst holds is added, before the activation.
dnnl::primitive_attr attributes(Activation a, bool sum = false) {
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  dnnl::post_ops ops;
  if (sum) ops.append_sum(1.f);
  append_activation(ops, a);
  attr.set_post_ops(ops);
  return attr;
}

// oneDNN's errors carry a status and no shapes.
template <class S, class F>
void explained(const char* op, S&& shape, F&& f) {
  try {
    f();
  } catch (const dnnl::error& e) { fail("{}: oneDNN {} refuses {}: {}", op, version(), shape(), e.what()); }
}

// From so many rows of a on it pays to bring b into oneDNN's order first: the product is 3 to 6 % faster, as it else
// does that in pieces, for each thread, again and again (ViT-B/16, batch 16, 3152 rows).
// Not in weight gradients, where b is as long as a.
constexpr int64_t kManyRows = 2048;

Primitive make_matmul(DType t, const Matmul& p, bool bias) {
  const auto type = data_type(t);
  const bool batched = p.batch > 1;
  // Rows and columns as the product sees them; the strides say how they lie.
  const auto desc = [&](bool shared, int64_t rows, int64_t cols, bool transposed) {
    const memory::dim rs = transposed ? 1 : cols, cs = transposed ? rows : 1;
    if (!batched) return memory::desc({rows, cols}, type, memory::dims{rs, cs});
    return memory::desc({shared ? 1 : p.batch, rows, cols}, type, memory::dims{rows * cols, rs, cs});
  };
  const memory::desc a = desc(p.shared_a, p.m, p.k, p.transpose_a), b = desc(p.shared_b, p.k, p.n, p.transpose_b),
                     c = desc(false, p.m, p.n, false);
  const memory::desc row = !bias     ? memory::desc()
                           : batched ? memory::desc({1, 1, p.n}, type, memory::dims{p.n, p.n, 1})
                                     : memory::desc({1, p.n}, type, memory::dims{p.n, 1});
  const auto attr = attributes(p.activation);
  if (batched || p.transpose_a || p.m < kManyRows) {
    const auto pd = describe<dnnl::matmul>(attr, a, b, row, c);
    return {dnnl::matmul(pd), {a, b, c, row}, pd.scratchpad_desc()};
  }
  const auto pd = describe<dnnl::matmul>(attr, a, memory::desc({p.k, p.n}, type, memory::format_tag::any), row, c);
  Primitive made{dnnl::matmul(pd), {a, pd.weights_desc(), c, row}, pd.scratchpad_desc()};
  plan_repack(made, b, true, attributes(Activation::none));
  return made;
}

// `more`: with a bias; of kAffine, which has one in float, with a residual in y.
Primitive make_conv2d(Kind kind, DType t, const Conv2d& p, bool more) {
  using tag = memory::format_tag;
  const auto type = data_type(t);
  const auto direct = dnnl::algorithm::convolution_direct;
  const memory::dims weights = p.groups == 1 ? memory::dims{p.cout, p.cin, p.kh, p.kw}
                                             : memory::dims{p.groups, p.group_out(), p.group_in(), p.kh, p.kw};
  const memory::desc x({p.n, p.cin, p.h, p.w}, type, tag::nhwc), any(weights, type, tag::any),
      plain(weights, type, p.groups == 1 ? tag::ohwi : tag::gohwi),
      y({p.n, p.cout, p.out_h(), p.out_w()}, type, tag::nhwc);
  const memory::desc row = kind == kAffine ? memory::desc({p.cout}, memory::data_type::f32, tag::a)
                           : more          ? memory::desc({p.cout}, type, tag::a)
                                           : memory::desc();
  const memory::dims stride{p.stride_h, p.stride_w}, low{p.pad_h, p.pad_w};
  const memory::dims gaps{p.dilation_h - 1, p.dilation_w - 1};  // oneDNN counts what lies between two taps
  // Padding behind the last row and column: what the windows really reach, which a stride may leave short.
  const memory::dims high{(p.out_h() - 1) * p.stride_h + p.reach_h() - p.h - p.pad_h,
                          (p.out_w() - 1) * p.stride_w + p.reach_w() - p.w - p.pad_w};
  const bool forwards = kind == kForward || kind == kAffine;
  const auto attr = attributes(forwards && p.relu ? Activation::relu : Activation::none, kind == kAffine && more);
  const auto prop = dnnl::prop_kind::forward_training;
  const auto forward = describe<dnnl::convolution_forward>(attr, prop, direct, x, any, row, y, stride, gaps, low, high);
  if (forwards) {
    Primitive made{dnnl::convolution_forward(forward), {x, forward.weights_desc(), y, row}, forward.scratchpad_desc()};
    plan_repack(made, plain, true, attributes(Activation::none));
    return made;
  }
  if (kind == kBackwardData) {
    const auto pd =
        describe_backward<dnnl::convolution_backward_data>(attr, forward, direct, x, any, y, stride, gaps, low, high);
    Primitive made{dnnl::convolution_backward_data(pd), {x, pd.weights_desc(), y}, pd.scratchpad_desc()};
    plan_repack(made, plain, true, attr);
    return made;
  }
  const auto pd =
      describe_backward<dnnl::convolution_backward_weights>(attr, forward, direct, x, any, y, stride, gaps, low, high);
  Primitive made{dnnl::convolution_backward_weights(pd), {x, pd.diff_weights_desc(), y}, pd.scratchpad_desc()};
  plan_repack(made, plain, false, attr);
  return made;
}

// f(the primitive of a convolution), which is kept. `more` as of make_conv2d.
template <class F>
void with_conv2d(Kind kind, const char* op, DType t, const Conv2d& p, bool more, F&& f) {
  const int threads = threads_for_products(p.flops());
  const ThreadLimit limit(threads);
  const Key key{kind,       int64_t(t), threads, p.n,     p.h,          p.w,          p.cin,    p.cout, p.kh, p.kw,
                p.stride_h, p.stride_w, p.pad_h, p.pad_w, p.dilation_h, p.dilation_w, p.groups, p.relu, more};
  const auto shape = [&] {
    return format("x {} [{}, {}, {}, {}], w [{}, {}, {}, {}], stride {}x{}, padding {}x{}, dilation {}x{}, {} groups",
                  t, p.n, p.h, p.w, p.cin, p.cout, p.kh, p.kw, p.group_in(), p.stride_h, p.stride_w, p.pad_h, p.pad_w,
                  p.dilation_h, p.dilation_w, p.groups);
  };
  explained(op, shape, [&] { f(*cache().get(key, [&] { return make_conv2d(kind, t, p, more); })); });
}

void run_conv2d(Kind kind, const char* op, DType t, const Conv2d& p, Names names, const void* x, const void* w,
                const void* y, const void* bias) {
  with_conv2d(kind, op, t, p, bias, [&](const Primitive& made) { execute(made, names, x, w, y, bias); });
}

// Weights in oneDNN's order.
struct Ordered {
  memory::desc order;
  Workspace bytes;

  Ordered(const Primitive& p, const Weights& weights) : order(p.args[1]), bytes(Device::cpu, p.args[1].get_size()) {
    if (!p.repack) {
      weights(bytes.as<void>());
      return;
    }
    const Workspace plain(Device::cpu, p.plain.get_size()), scratch(Device::cpu, p.repack_scratch.get_size());
    weights(plain.as<void>());
    repack(p, memory(p.plain, engine(), plain.as<void>()), memory(order, engine(), bytes.as<void>()),
           scratch.as<void>());
    stream().wait();
  }
};

}  // namespace

bool computes(DType t) {
  static const bool bf16_works = [] {
    try {
      make_matmul(DType::bf16, {.batch = 1, .m = 16, .n = 16, .k = 16}, false);
      make_conv2d(kBackwardWeights, DType::bf16, {.n = 1, .h = 4, .w = 4, .cin = 16, .cout = 16, .kh = 1, .kw = 1},
                  false);
      return true;
    } catch (const dnnl::error&) { return false; }
  }();
  return t == DType::f32 || (t == DType::bf16 && bf16_works);
}

void matmul(DType t, const Matmul& p, const void* a, const void* b, const void* bias, void* c) {
  const int threads = threads_for_products(2.0 * double(p.batch) * double(p.m) * double(p.n) * double(p.k));
  const ThreadLimit limit(threads);
  const Key key{kMatmul,
                int64_t(t),
                threads,
                p.batch,
                p.m,
                p.n,
                p.k,
                p.transpose_a,
                p.transpose_b,
                p.shared_a,
                p.shared_b,
                int64_t(p.activation),
                bias != nullptr};
  const auto shape = [&] { return format("{} [{}, {}, {}]·[{}, {}, {}]", t, p.batch, p.m, p.k, p.batch, p.k, p.n); };
  explained("matmul", shape, [&] {
    const Made made = cache().get(key, [&] { return make_matmul(t, p, bias); });
    execute(*made, kForwardNames, a, b, c, bias);
  });
}

void conv2d_forward(DType t, const Conv2d& p, const void* x, const void* w, const void* bias, void* y) {
  run_conv2d(kForward, "conv2d_forward", t, p, kForwardNames, x, w, y, bias);
}
void conv2d_affine(DType t, const Conv2d& p, const void* x, const Weights& weights, const float* bias, bool add,
                   void* y, Packed& packed) {
  with_conv2d(kAffine, "conv2d_affine", t, p, add, [&](const Primitive& made) {
    const auto w = packed.get<Ordered>([&](const Ordered& kept) { return kept.order == made.args[1]; },
                                       [&] { return std::make_shared<Ordered>(made, weights); });
    execute(made, kForwardNames, x, w->bytes.as<void>(), y, bias, true);
  });
}
void conv2d_backward_data(DType t, const Conv2d& p, const void* dy, const void* w, void* dx) {
  run_conv2d(kBackwardData, "conv2d_backward_data", t, p, kDataNames, dx, w, dy, nullptr);
}
void conv2d_backward_weights(DType t, const Conv2d& p, const void* dy, const void* x, void* dw) {
  run_conv2d(kBackwardWeights, "conv2d_backward_weights", t, p, kWeightsNames, x, dw, dy, nullptr);
}

std::string version() {
  const dnnl_version_t* v = dnnl_version();
  const auto isa = dnnl::get_effective_cpu_isa();
  const char* name = isa == dnnl::cpu_isa::avx512_core_amx    ? "avx512_core_amx"
                     : isa == dnnl::cpu_isa::avx512_core_bf16 ? "avx512_core_bf16"
                     : isa == dnnl::cpu_isa::avx512_core_vnni ? "avx512_core_vnni"
                     : isa == dnnl::cpu_isa::avx512_core      ? "avx512_core"
                     : isa == dnnl::cpu_isa::avx2_vnni        ? "avx2_vnni"
                     : isa == dnnl::cpu_isa::avx2             ? "avx2"
                                                              : "another instruction set";
  return format("{}.{}.{}, {}", v->major, v->minor, v->patch, name);
}

}  // namespace holt::onednn
