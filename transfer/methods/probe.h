// Training W and b on fixed features: what linear-probe and lp-ft share.
#pragma once
#include "transfer/training.h"

namespace holt::transfer::methods {

/// Trains the classifier alone. The features are those of evaluation mode: BatchNorm uses the source's statistics and
/// keeps them, nothing is dropped.
void probe(Adaptation& a);

}  // namespace holt::transfer::methods
