// The seen–unseen curve: what γ, added to the logits of U, takes from the images of S and gives to those of U.
//
// An image of S that is right within S is right while γ < t, its switching point (predictions.h); one of U that is
// right within U is right while γ > t; all others are wrong at every γ. So as γ rises from −∞ to +∞ the seen accuracy
// falls from seen|S to 0, the unseen one rises from 0 to unseen|U, both in steps, and sorting the switching points
// gives the curve exactly: O(N log N) after the pass over the logits.
// AUSUC is from Chao et al. 2016, arXiv 1605.04253; accuracies here are over images, not averaged over classes.
//
// A plateau is an open interval between neighbouring switching points. What the index decides at a switching point
// itself, where s = u + γ, belongs to no plateau: it is no γ that one could rely on. Switching points with no double
// between them count as one.
#pragma once
#include <cstdint>
#include <vector>

#include "transfer/predictions.h"

namespace holt::transfer {

/// The γ in (low, high), for which the same images are right.
struct Plateau {
  double low, high;  ///< switching points; −∞ for the first low, +∞ for the last high
  int64_t seen_correct, unseen_correct;
  bool bounded() const;
  /// A finite γ inside: the middle; beyond the outermost switching point t by max(1, 10⁻⁶·|t|); 0 if there is none.
  double inside() const;
};

struct Sweep {
  int64_t seen_samples = 0, unseen_samples = 0;
  std::vector<Plateau> plateaus;  ///< at least one, by rising γ
};
Sweep sweep(const std::vector<Duel>& duels, const Seen& seen);

struct CurvePoint {
  double gamma;         ///< finite, inside the plateau: measure() at this γ gives the two accuracies
  double seen, unseen;  ///< fractions; 0 for a group without images
};

/// One point for each plateau, by rising γ: seen never rises, unseen never falls. Errors: those of duels().
std::vector<CurvePoint> seen_unseen_curve(const Predictions& predictions, const Seen& seen);
std::vector<CurvePoint> seen_unseen_curve(const Sweep& sweep);

/// The area under unseen against seen accuracy, 0 … 1, from (seen|S, 0) to (0, unseen|U), exact. Points are joined by
/// straight lines: where images of both groups switch at one γ the segment is slanted (a trapezoid), which is the mean
/// over the two orders in which they might have switched; all other segments are level or upright. 0 if a group has no
/// images. (Images that infinite logits tie to one group end the curve before the axes; the area is that over what
/// finite γ reach.)
double ausuc(const std::vector<CurvePoint>& curve);

/// At most `max_points` ≥ 2 of the points, for plots: the first, the last, and between them those nearest to equal
/// distances along the curve, measured as |Δseen| + |Δunseen|. A short curve is returned as it is.
std::vector<CurvePoint> thin(const std::vector<CurvePoint>& curve, int64_t max_points);

}  // namespace holt::transfer
