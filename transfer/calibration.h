// Choosing γ, the number that is added to the logits of the unseen classes.
//
// Fine-tuning on S shifts the scale of the logits between S and U more than it harms their order within U; one number
// undoes most of it (Mai et al. 2024, "Fine-Tuning is Fine, if Calibrated", arXiv 2409.16223). Three ways to it:
//
//   average_logit_gap  ("alg")   from the target training images, which are all of S; no test image is used
//   pseudo_gamma       ("pcv")   from a model that was fine-tuned on one half of S and asked about both halves
//   best_gamma         ("best")  from the test images themselves: an upper bound, to be reported as such
#pragma once
#include "transfer/curve.h"
#include "transfer/predictions.h"

namespace holt::transfer {

/// ALG: the mean over the images of [mean logit of the seen classes but the label's − mean logit of the unseen
/// classes]. Sums in double. Errors: no images, a label outside S, fewer than two seen classes, a logit that is not
/// finite.
double average_logit_gap(const Predictions& training, const Seen& seen);

/// What the best γ maximises.
enum class Criterion {
  overall,   ///< accuracy of all images
  balanced,  ///< mean of the seen and the unseen accuracy: the same whatever the number of images of each
  hmean,     ///< harmonic mean of the two
};

/// The γ that is best on these images: exact, from the switching points, not from a grid. It lies in the middle of the
/// widest of the equally good plateaus (curve.h), which a small error of γ leaves last; of equally wide ones in that
/// nearest to 0. A plateau without an end is taken only if no bounded one is as good; γ is finite always, and 0 if
/// nothing depends on it. Errors: those of duels(); no images; for balanced and hmean, a group without images.
double best_gamma(const Predictions& predictions, const Seen& seen, Criterion criterion = Criterion::overall);

/// PCV's inner step. `held_out`: what a model says that was fine-tuned on the classes of `pseudo_seen` ⊂ S alone, about
/// images of S on which it was not trained, from both halves. Only the logits of S take part: the γ is the best one
/// between pseudo_seen and S \ pseudo_seen, by the balanced criterion, since in earnest the two groups' sizes are
/// unknown. The caller averages over the two halves. Errors: those of best_gamma; a label or a pseudo-seen class
/// outside S.
double pseudo_gamma(const Predictions& held_out, const Seen& seen, const Seen& pseudo_seen,
                    Criterion criterion = Criterion::balanced);

}  // namespace holt::transfer
