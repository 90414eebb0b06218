#include "core/autocast.h"

#include "core/autograd.h"
#include "core/by_weight.h"
#include "kernels/cast.h"
#include "kernels/onednn.h"
#include "kernels/recording.h"

namespace holt {
namespace {

struct State {
  DType dtype = DType::f32;
  int depth = 0;
  int64_t copies = 0;
  ByWeight<Tensor> kept;  // cast copies, flat
};

State& state() {
  thread_local State s;
  return s;
}

bool narrow(DType t) { return t == DType::bf16 || t == DType::f16; }
bool castable(DType t) { return t == DType::f32 || narrow(t); }

void convert(const Tensor& from, const Tensor& to) {
  on(from.device(), from.dtype(), "autocast", Types<float, bf16, f16>{}, [&]<class B, class From>(B dev, From) {
    on(to.device(), to.dtype(), "autocast", Types<float, bf16, f16>{}, [&]<class C, class To>(C, To) {
      if constexpr (std::is_same_v<B, C> && !std::is_same_v<From, To>)
        cast_any(dev, from.numel(), from.data<From>(), to.data<To>());
    });
  });
}

// The kept copy of a leaf, brought up to date.
Tensor copy_of(const Tensor& w, State& s) {
  auto& entry = s.kept.entry(w, s.dtype);
  Tensor& values = entry.value;
  if (values && entry.of(w)) return values;
  // A graph that is still alive keeps the old values.
  if (!values || values.storage().use_count() > 1 || values.device() != w.device())
    values = empty({w.numel()}, s.dtype, w.device());
  entry.made_of(w);
  convert(w, values);
  ++s.copies;
  return values;
}

}  // namespace

Autocast::Autocast(DType precision) : previous_(state().dtype) {
  check(castable(precision), "autocast: the precision must be f32, bf16 or f16, got {}", precision);
  State& s = state();
  if (s.depth++ == 0) s.copies = 0;
  s.dtype = precision;
}

Autocast::~Autocast() {
  State& s = state();
  s.dtype = previous_;
  if (--s.depth == 0) s.kept.clear();
}

Tensor widened(const Tensor& x) { return x && narrow(x.dtype()) ? x.to(DType::f32) : x; }

bool computes_natively(Device device, DType t) { return device.kind != Device::cpu || onednn::computes(t); }

DType autocast_dtype() { return state().dtype; }
int64_t autocast_copies() { return state().copies; }

bool autocast_changes(std::initializer_list<const Tensor*> inputs) {
  const DType p = state().dtype;
  if (p == DType::f32) return false;
  bool changes = false;
  for (const Tensor* t : inputs) {
    if (!*t) continue;
    if (t->dtype() == DType::f64) return false;
    changes |= castable(t->dtype()) && t->dtype() != p;
  }
  return changes;
}

Tensor autocast(const Tensor& x) {
  const DType p = state().dtype;
  return x && p != DType::f32 && castable(x.dtype()) ? x.to(p) : x;
}

Tensor autocast_weight(const Tensor& w) {
  State& s = state();
  if (!w || s.dtype == DType::f32 || !castable(w.dtype()) || w.dtype() == s.dtype) return w;
  // A graph that records must cast at every replay: a copy that it finds would stay what it is.
  if (!w.is_leaf() || Recording::current()) return w.to(s.dtype);
  return record("to", {w}, Tensor(copy_of(w, s).storage(), 0, w.shape(), s.dtype),
                [source = w.dtype()](const Tensor& dy, const Needs&) -> Grads { return {dy.to(source)}; });
}

bool autocast_promotes(const Tensor& a, const Tensor& b) {
  return state().dtype != DType::f32 && a && b && a.dtype() != b.dtype() && castable(a.dtype()) && castable(b.dtype());
}

}  // namespace holt
