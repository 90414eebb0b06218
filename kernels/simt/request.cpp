#include "kernels/simt/request.h"

#include <algorithm>
#include <bit>

namespace holt::simt {
namespace {

// f(lane) for the active lanes of [first, last).
template <class F>
void for_lanes(const Request& r, int first, int last, F f) {
  for (int lane = first; lane < last; ++lane)
    if (r.lanes >> lane & 1) f(lane);
}

void sort_unique(std::vector<uint64_t>& v) {
  std::sort(v.begin(), v.end());
  v.erase(std::unique(v.begin(), v.end()), v.end());
}

}  // namespace

Cost sectors(const Request& r, std::vector<uint64_t>& touched) {
  touched.clear();
  for_lanes(r, 0, 32, [&](int lane) {
    for (uint64_t s = r.address[lane] / 32; s <= (r.address[lane] + r.bytes - 1) / 32; ++s) touched.push_back(s);
  });
  sort_unique(touched);
  // Distinct bytes: intervals of equal length, in order of their starts.
  std::vector<uint64_t> starts;
  for_lanes(r, 0, 32, [&](int lane) { starts.push_back(r.address[lane]); });
  sort_unique(starts);
  uint64_t bytes = 0, end = 0;
  for (const uint64_t s : starts) {
    bytes += s + r.bytes - std::max(s, std::min(end, s + r.bytes));
    end = s + r.bytes;
  }
  return {static_cast<int>(touched.size()), static_cast<int>((bytes + 31) / 32)};
}

Cost sectors(const Request& r) {
  std::vector<uint64_t> touched;
  return sectors(r, touched);
}

Cost wavefronts(const Request& r) {
  const int group = r.bytes <= 4 ? 32 : r.bytes == 8 ? 16 : 8;
  Cost cost;
  std::vector<uint64_t> words;
  for (int first = 0; first < 32; first += group) {
    words.clear();
    for_lanes(r, first, first + group, [&](int lane) {
      for (uint64_t w = r.address[lane] / 4; w <= (r.address[lane] + r.bytes - 1) / 4; ++w) words.push_back(w);
    });
    if (words.empty()) continue;
    sort_unique(words);
    int in_bank[32] = {};
    for (const uint64_t w : words) ++in_bank[w % 32];
    cost.actual += *std::max_element(in_bank, in_bank + 32);
    ++cost.ideal;
  }
  return cost;
}

}  // namespace holt::simt
