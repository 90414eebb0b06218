#include "nn/module.h"

#include <fnmatch.h>

#include <algorithm>
#include <set>

#include "core/autograd.h"
#include "core/nearest.h"
#include "kernels/philox.h"
#include "nn/state.h"

namespace holt::nn {
namespace {

thread_local Watch* watch = nullptr;

void walk(const std::string& name, Module& m, const std::function<void(const std::string&, Module&)>& f) {
  f(name, m);
  const Parts parts = m.parts();
  for (auto& [child, module] : parts.children) walk(name.empty() ? child : name + "." + child, *module, f);
}

// Calls f(dotted name, member) for every defined member of one kind, parents first.
template <class T, class F>
void each(const Module& root, Parts::List<T> Parts::*kind, F&& f) {
  walk("", const_cast<Module&>(root), [&](const std::string& prefix, Module& m) {  // parts() reads, f decides
    const Parts parts = m.parts();
    for (auto& [name, part] : parts.*kind) {
      if constexpr (std::is_same_v<T, Tensor>)
        if (!*part) continue;
      f(prefix.empty() ? name : prefix + "." + name, *part);
    }
  });
}

std::vector<std::string> split_at_commas(const std::string& text) {
  std::vector<std::string> pieces;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    size_t a = begin, b = end;
    while (a < b && text[a] == ' ') ++a;
    while (b > a && text[b - 1] == ' ') --b;
    pieces.push_back(text.substr(a, b - a));
    begin = end + 1;
  }
  return pieces;
}

// The five parameters and modules ("layer1.*") whose names are most like the pattern.
std::string nearest_names(Module& root, const std::string& pattern) {
  std::vector<std::pair<size_t, std::string>> ranked;
  for (auto& [name, t] : root.named_parameters()) ranked.push_back({edit_distance(pattern, name), name});
  for (auto& [name, m] : root.named_modules())
    if (!name.empty() && m->parameter_count() > 0) {
      const std::string all = name + ".*";
      ranked.push_back({std::min(edit_distance(pattern, name), edit_distance(pattern, all)), all});
    }
  std::stable_sort(ranked.begin(), ranked.end(), [](auto& a, auto& b) { return a.first < b.first; });
  std::vector<std::string> names;
  for (const auto& [distance, name] : ranked) names.push_back(name);
  return first_of(names, 5, "");
}

Tensor own_copy(const Tensor& t) {
  Tensor c = t.detach().clone();
  if (t.requires_grad()) c.requires_grad_();
  return c;
}

std::string counted(int64_t n) {
  std::string digits = std::to_string(n);
  for (int64_t i = static_cast<int64_t>(digits.size()) - 3; i > 0; i -= 3)
    digits.insert(static_cast<size_t>(i), 1, ',');
  return digits;
}

// Columns are counted in code points: labels contain "→" and "×".
size_t width(const std::string& utf8) {
  return static_cast<size_t>(std::count_if(utf8.begin(), utf8.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

std::string padded(std::string text, size_t columns) {
  const size_t w = width(text);
  return w < columns ? text + std::string(columns - w, ' ') : text;
}

}  // namespace

TensorList Module::named_parameters() const {
  TensorList all;
  each(*this, &Parts::parameters, [&](const std::string& name, Tensor& t) { all.emplace_back(name, t); });
  return all;
}

TensorList Module::named_buffers() const {
  TensorList all;
  each(*this, &Parts::buffers, [&](const std::string& name, Tensor& t) { all.emplace_back(name, t); });
  return all;
}

std::vector<Tensor> Module::parameters() const {
  std::vector<Tensor> all;
  each(*this, &Parts::parameters, [&](const std::string&, Tensor& t) { all.push_back(t); });
  return all;
}

std::vector<Tensor> Module::buffers() const {
  std::vector<Tensor> all;
  each(*this, &Parts::buffers, [&](const std::string&, Tensor& t) { all.push_back(t); });
  return all;
}

int64_t Module::parameter_count(bool trainable_only) const {
  int64_t n = 0;
  for (const Tensor& t : parameters())
    if (!trainable_only || t.requires_grad()) n += t.numel();
  return n;
}

std::vector<std::pair<std::string, Module*>> Module::named_modules() {
  std::vector<std::pair<std::string, Module*>> all;
  walk("", *this, [&](const std::string& name, Module& m) { all.emplace_back(name, &m); });
  return all;
}

void Module::train(bool on) {
  for (auto& [name, m] : named_modules()) m->training_ = on;
}

int Module::requires_grad(const std::string& patterns, bool on) {
  std::set<std::string> chosen;
  const TensorList all = named_parameters();
  for (const std::string& pattern : split_at_commas(patterns)) {
    bool found = false;
    for (auto& [name, t] : all)
      if (fnmatch(pattern.c_str(), name.c_str(), 0) == 0) {
        chosen.insert(name);
        found = true;
      }
    check(found, "requires_grad: the pattern '{}' matches no parameter; the nearest are {}", pattern,
          nearest_names(*this, pattern));
  }
  for (auto& [name, t] : all)
    if (chosen.count(name)) {
      t.requires_grad_(on);
      if (!on) t.set_grad({});
    }
  return static_cast<int>(chosen.size());
}

void Module::zero_grad() {
  for (const Tensor& t : parameters()) t.set_grad({});
}

void Module::to(Device device) {
  const auto move = [&](const std::string&, Tensor& t) {
    if (t.device() == device) return;
    Tensor moved = t.detach().to(device);
    if (t.requires_grad()) moved.requires_grad_();
    t = moved;
  };
  each(*this, &Parts::parameters, move);
  each(*this, &Parts::buffers, move);
  each(*this, &Parts::constants, move);
}

State Module::state() const {
  State all;
  const auto add = [&](const std::string& name, Tensor& t) {
    check(all.emplace(name, t.detach()).second, "state: two tensors are called '{}'", name);
  };
  each(*this, &Parts::parameters, add);
  each(*this, &Parts::buffers, add);
  return all;
}

std::vector<std::string> Module::load_state(const State& source, bool strict) {
  return copy_into("load_state: the state does not fit this module", state(), source, strict);
}

State Module::random_state() const {
  State all;
  each(*this, &Parts::generators, [&](const std::string& name, Generator& g) {
    all[name] = from(std::vector<int64_t>{static_cast<int64_t>(g.seed), static_cast<int64_t>(g.next)}, Shape{2});
  });
  return all;
}

void Module::load_random_state(const State& source) {
  std::vector<std::pair<Generator*, std::vector<int64_t>>> found;
  each(*this, &Parts::generators, [&](const std::string& name, Generator& g) {
    const auto it = source.find(name);
    check(it != source.end(), "load_random_state: the state of generator '{}' is missing", name);
    check(it->second && it->second.shape() == Shape{2} && it->second.dtype() == DType::i64,
          "load_random_state: '{}' must be i64 [2], got {}", name, it->second);
    found.emplace_back(&g, it->second.to_vector<int64_t>());
  });
  check(found.size() == source.size(), "load_random_state: expected {} generators, got {}", found.size(),
        source.size());
  for (auto& [g, words] : found) {
    g->seed = static_cast<uint64_t>(words[0]);
    g->next = static_cast<uint64_t>(words[1]);
  }
}

void Module::reseed(uint64_t seed) {
  uint64_t stream = 0;
  each(*this, &Parts::generators, [&](const std::string&, Generator& g) {
    const Philox4 r = philox(seed, stream++, 0);
    g = Generator(uint64_t{r.v[0]} << 32 | r.v[1]);
  });
}

std::string Module::describe(const Shape& input) {
  std::map<const Module*, Shape> outputs;
  std::vector<std::pair<Module*, bool>> modes;
  for (auto& [name, m] : named_modules()) modes.emplace_back(m, m->training_);
  const auto restore = [&] {
    for (auto& [m, on] : modes) m->training_ = on;
  };
  eval();
  try {
    const NoGrad no_grad;
    const Watch record_shapes([&](const Module& m, const Tensor& y) { outputs[&m] = y.shape(); });
    const std::vector<Tensor> own = parameters();
    (*this)(zeros(input, DType::f32, own.empty() ? Device{} : own[0].device()));
  } catch (...) {
    restore();
    throw;
  }
  restore();

  std::vector<std::array<std::string, 3>> rows = {{"layer", "output", "parameters"}};
  for (auto& [name, m] : named_modules()) {
    const auto depth = static_cast<size_t>(name.empty() ? 0 : 1 + std::count(name.begin(), name.end(), '.'));
    const size_t dot = name.rfind('.');
    const std::string last = dot == std::string::npos ? name : name.substr(dot + 1);
    int64_t own = 0;
    const Parts parts = m->parts();
    for (auto& [part, t] : parts.parameters)
      if (*t) own += t->numel();
    const auto it = outputs.find(m);
    rows.push_back({std::string(2 * depth, ' ') + (last.empty() ? "" : last + ": ") + m->label(),
                    it == outputs.end() ? "" : to_string(it->second), own ? counted(own) : ""});
  }
  std::array<size_t, 3> widest{};
  for (auto& row : rows)
    for (size_t i = 0; i < 3; ++i) widest[i] = std::max(widest[i], width(row[i]));
  std::string text;
  for (auto& [layer, output, n] : rows)
    text += padded(layer, widest[0]) + "  " + padded(output, widest[1]) + "  " +
            std::string(widest[2] - n.size(), ' ') + n + "\n";
  const int64_t total = parameter_count(), trainable = parameter_count(true);
  text += format("{} parameters", counted(total));
  if (trainable != total) text += format(", {} of them trained", counted(trainable));
  return text + "\n";
}

Tensor Module::watched(Tensor y) const {
  if (watch) watch->f_(*this, y);
  return y;
}

void detail::own_tensors(Module& m) {
  const auto own = [](const std::string&, Tensor& t) { t = own_copy(t); };
  each(m, &Parts::parameters, own);
  each(m, &Parts::buffers, own);
}

Watch::Watch(Function f) : f_(std::move(f)), previous_(watch) { watch = this; }
Watch::~Watch() { watch = previous_; }
bool Watch::active() { return watch != nullptr; }

}  // namespace holt::nn
