#include "transfer/curve.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "transfer/metrics.h"

namespace holt::transfer {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

struct Switch {
  double gamma;
  bool seen;  // an image of S goes wrong; else one of U comes right
};

bool room_between(double a, double b) {
  const double middle = std::midpoint(a, b);
  return a < middle && middle < b;
}

double beyond(double t) { return std::max(1.0, 1e-6 * std::abs(t)); }

}  // namespace

bool Plateau::bounded() const { return low > -kInfinity && high < kInfinity; }

double Plateau::inside() const {
  if (bounded()) return std::midpoint(low, high);
  if (low > -kInfinity) return low + beyond(low);
  return high < kInfinity ? high - beyond(high) : 0;
}

Sweep sweep(const std::vector<Duel>& all, const Seen& seen) {
  Sweep result;
  std::vector<Switch> switches;
  int64_t seen_correct = 0, unseen_correct = 0;  // at γ → −∞
  for (const Duel& d : all) {
    const bool in_s = seen[d.label];
    ++(in_s ? result.seen_samples : result.unseen_samples);
    if (d.winner_in_group(seen) != d.label) continue;
    seen_correct += in_s && d.switching > -kInfinity;
    unseen_correct += !in_s && d.switching == -kInfinity;
    if (std::isfinite(d.switching)) switches.push_back({d.switching, in_s});
  }
  std::sort(switches.begin(), switches.end(), [](const Switch& a, const Switch& b) { return a.gamma < b.gamma; });
  double low = -kInfinity;
  for (size_t i = 0; i < switches.size();) {
    result.plateaus.push_back({low, switches[i].gamma, seen_correct, unseen_correct});
    do {
      low = switches[i].gamma;
      seen_correct -= switches[i].seen;
      unseen_correct += !switches[i].seen;
      ++i;
    } while (i < switches.size() && !room_between(low, switches[i].gamma));
  }
  result.plateaus.push_back({low, kInfinity, seen_correct, unseen_correct});
  return result;
}

std::vector<CurvePoint> seen_unseen_curve(const Sweep& s) {
  std::vector<CurvePoint> curve;
  curve.reserve(s.plateaus.size());
  for (const Plateau& p : s.plateaus)
    curve.push_back(
        {p.inside(), fraction(p.seen_correct, s.seen_samples), fraction(p.unseen_correct, s.unseen_samples)});
  return curve;
}

std::vector<CurvePoint> seen_unseen_curve(const Predictions& predictions, const Seen& seen) {
  return seen_unseen_curve(sweep(duels(predictions, seen), seen));
}

double ausuc(const std::vector<CurvePoint>& curve) {
  double area = 0;
  for (size_t k = 1; k < curve.size(); ++k)
    area += (curve[k - 1].seen - curve[k].seen) * (curve[k - 1].unseen + curve[k].unseen) / 2;
  return area;
}

std::vector<CurvePoint> thin(const std::vector<CurvePoint>& curve, int64_t max_points) {
  check(max_points >= 2, "thin: a curve needs at least its 2 ends, got max_points {}", max_points);
  if (std::ssize(curve) <= max_points) return curve;
  const CurvePoint first = curve.front(), last = curve.back();
  // Both coordinates are monotone, so that the way along the curve is the way from its start.
  const auto way = [&](const CurvePoint& p) { return (first.seen - p.seen) + (p.unseen - first.unseen); };
  const double step = way(last) / static_cast<double>(max_points - 1);
  std::vector<CurvePoint> result{first};
  size_t i = 0;
  for (int64_t mark = 1; mark < max_points - 1; ++mark) {
    const double goal = step * static_cast<double>(mark);
    while (i + 1 < curve.size() && std::abs(way(curve[i + 1]) - goal) <= std::abs(way(curve[i]) - goal)) ++i;
    if (curve[i].gamma > result.back().gamma && i + 1 < curve.size()) result.push_back(curve[i]);
  }
  result.push_back(last);
  return result;
}

}  // namespace holt::transfer
