// What a model says about labelled images, and how its two groups of classes compete for each of them.
//
// S are the seen classes, U the unseen ones. A calibration γ is added to the logits of U before the argmax. Whatever γ
// is, an image goes to the best class of S or to the best class of U, so that one pass over its C logits leaves all
// that the metrics need, a Duel:
//
//   s = max over S of z_c,  u = max over U of z_c,  t = s − u:   γ < t: the class of s;   γ > t: the class of u.
//
// Ties: of equal logits the class with the smaller index wins, as in nn::Scores; this holds within a group, and between
// them at γ = t. An image with a NaN among its logits has no prediction and is wrong at every γ. Arithmetic: logits are
// float, t and γ double; t is exact unless s and u are more than 2²⁹ apart in magnitude, and γ is compared with t
// rather than added to u, which would round. Infinite logits keep their place whatever γ is.
#pragma once
#include <cstdint>
#include <vector>

#include "core/tensor.h"

namespace holt::transfer {

/// By class: true in S, false in U.
using Seen = std::vector<bool>;

struct Predictions {
  int64_t classes = 0;          ///< C
  std::vector<float> logits;    ///< [N, C], row-major
  std::vector<int64_t> labels;  ///< [N], 0 … C − 1

  int64_t size() const { return static_cast<int64_t>(labels.size()); }
  /// Appends a batch: logits [n, C] of any floating dtype and device, labels i64 [n]. The first batch sets C.
  void add(const Tensor& logits, const Tensor& labels);
};

/// One image's choice between S and U.
struct Duel {
  int64_t label;
  int64_t in_seen;    ///< argmax within S, −1 if a logit of the image is NaN
  int64_t in_unseen;  ///< argmax within U, likewise
  double switching;   ///< t; ±∞ where no finite γ changes the winner; 0 where a logit is NaN

  /// The class that wins at this γ, or −1.
  int64_t winner(double gamma) const {
    const bool tie = gamma == switching;
    return (tie ? in_seen < in_unseen : gamma < switching) ? in_seen : in_unseen;
  }
  /// The winner among the classes of the label's own group, or −1.
  int64_t winner_in_group(const Seen& seen) const { return seen[static_cast<size_t>(label)] ? in_seen : in_unseen; }
};

/// One Duel for each image: one pass over the N·C logits. Errors: sizes that do not fit, labels outside 0 … C − 1,
/// `seen` that holds none or all of the classes.
std::vector<Duel> duels(const Predictions& predictions, const Seen& seen);

/// The checks of duels(), for other functions of predictions; `op` begins the message.
void check_predictions(const char* op, const Predictions& predictions, const Seen& seen);

/// The indices of S, or with `group` false those of U, ascending.
std::vector<int64_t> members(const Seen& seen, bool group = true);

}  // namespace holt::transfer
