#include "core/inference.h"

#include <algorithm>
#include <map>

namespace holt {
namespace {

struct Kept {
  std::weak_ptr<Storage> weight;  // an address may be used again: this tells
  uint64_t version = 0;
  std::vector<float> scale;
  Packed form;
};

struct State {
  int depth = 0;
  std::map<std::pair<const Storage*, int64_t>, Kept> kept;  // by storage and offset of the weight
};

State& state() {
  thread_local State s;
  return s;
}

}  // namespace

Inference::Inference() { ++state().depth; }

Inference::~Inference() {
  if (--state().depth == 0) state().kept.clear();
}

Packed* kept_form(const Tensor& w, std::span<const float> scale) {
  State& s = state();
  if (s.depth == 0) return nullptr;
  const std::shared_ptr<Storage>& storage = w.storage();
  auto found = s.kept.find({storage.get(), w.offset()});
  if (found == s.kept.end()) {
    // A new weight, so perhaps a new network: those whose weights are gone leave nothing behind.
    std::erase_if(s.kept, [](const auto& entry) { return entry.second.weight.expired(); });
    found = s.kept.emplace(std::pair(storage.get(), w.offset()), Kept{}).first;
  }
  Kept& k = found->second;
  if (k.weight.lock() != storage || k.version != storage->version || !std::ranges::equal(k.scale, scale))
    k = {storage, storage->version, {scale.begin(), scale.end()}, {}};
  return &k.form;
}

}  // namespace holt
