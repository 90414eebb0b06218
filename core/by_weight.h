// What is made of weights and kept beside them (a cast copy, another order of the elements), found again by the weight.
#pragma once
#include <map>
#include <memory>
#include <tuple>

#include "core/tensor.h"

namespace holt {

/// A Value for each weight and dtype. Not for two threads at once.
template <class Value>
class ByWeight {
 public:
  class Entry {
   public:
    Value value{};
    /// Whether the value was made of w as it is now: of the same memory, not written to since.
    bool of(const Tensor& w) const { return version_ == w.storage()->version && weight_.lock() == w.storage(); }
    /// Says that it is.
    void made_of(const Tensor& w) {
      weight_ = w.storage();
      version_ = w.storage()->version;
    }

   private:
    friend class ByWeight;
    std::weak_ptr<Storage> weight_;  // an address may be used again: this tells
    uint64_t version_ = 0;
  };

  /// w's entry; a new one is not made of anything.
  Entry& entry(const Tensor& w, DType t) {
    const Key key{w.storage().get(), w.offset(), w.numel(), t};
    if (const auto found = entries_.find(key); found != entries_.end()) return found->second;
    // A new weight, so perhaps a new network: those whose weights are gone leave nothing behind.
    std::erase_if(entries_, [](const auto& e) { return e.second.weight_.expired(); });
    return entries_[key];
  }
  void clear() { entries_.clear(); }

 private:
  using Key = std::tuple<const Storage*, int64_t, int64_t, DType>;  // storage, offset, numel
  std::map<Key, Entry> entries_;
};

}  // namespace holt
