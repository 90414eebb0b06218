#include "kernels/rungs.h"

#include <cstdlib>
#include <utility>
#include <vector>

namespace holt {
namespace {

using Choices = std::vector<std::pair<std::string, std::string>>;

Choices& thread_choices() {
  thread_local Choices choices;
  return choices;
}

const Choices& process_choices() {
  static const Choices choices = [] {
    Choices parsed;
    const char* env = std::getenv("HOLT_RUNGS");
    std::string_view rest = env ? env : "";
    while (!rest.empty()) {
      const std::string_view item = rest.substr(0, rest.find(','));
      rest.remove_prefix(std::min(rest.size(), item.size() + 1));
      const size_t equals = item.find('=');
      check(equals != 0 && equals != item.npos && equals + 1 < item.size(),
            "HOLT_RUNGS: '{}' is not of the form op=rung; example: HOLT_RUNGS=layer_norm_forward=naive,matmul=tiled",
            item);
      parsed.emplace_back(item.substr(0, equals), item.substr(equals + 1));
    }
    return parsed;
  }();
  return choices;
}

bool vendors_allowed() {
  static const bool allowed = [] {
    const char* env = std::getenv("HOLT_KERNELS");
    const std::string_view value = env ? env : "";
    check(value.empty() || value == "own" || value == "vendor",
          "HOLT_KERNELS: expected 'own' (holt's kernels alone) or 'vendor' (cuDNN and cuBLASLt where they fit, as when "
          "it is unset), got '{}'",
          value);
    return value != "own";
  }();
  return allowed;
}

}  // namespace

std::string_view chosen_rung(std::string_view op) {
  const Choices& mine = thread_choices();
  for (auto it = mine.rbegin(); it != mine.rend(); ++it)
    if (it->first == op) return it->second;
  for (const auto& [name, rung] : process_choices())
    if (name == op) return rung;
  return {};
}

bool vendor_chosen(std::string_view op) {
  const std::string_view chosen = chosen_rung(op);
  return chosen.empty() ? vendors_allowed() : chosen == "vendor";
}

ScopedRung::ScopedRung(std::string_view op, std::string_view rung) { thread_choices().emplace_back(op, rung); }
ScopedRung::~ScopedRung() { thread_choices().pop_back(); }

}  // namespace holt
