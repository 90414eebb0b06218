// Rounds of local training and averaging: what lolsgd and its two controls share.
#pragma once
#include "transfer/training.h"

namespace holt::transfer::methods {

struct Rounds {
  int64_t locals = 1;    ///< M
  double keep = 1;       ///< ρ: each local is given this part of the seen classes
  double server_lr = 1;  ///< η_g
};

/// θ ← θ + η_g·(1/M)·Σ_m (θ_m − θ), `lolsgd.rounds` times; θ_m is θ after `lolsgd.local-steps` steps of SGD on the
/// images of S_m, drawn anew from S in every round.
void train_in_rounds(Adaptation& a, const Rounds& rounds);

}  // namespace holt::transfer::methods
