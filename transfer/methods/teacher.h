// Distillation from the source model: what distill and lwf share.
#pragma once
#include "transfer/method.h"

namespace holt::transfer::methods {

/// λ·T²·KL(softmax(source logits / T) ‖ softmax(logits / T)), mean over the batch, both softmaxes over the classes in
/// `mask` (u8 [C]; undefined: all). T² keeps the gradient's size as T changes (Hinton et al. 2015, §2).
Tensor distillation(const Adaptation& a, const Forward& f, double weight, double temperature, const Tensor& mask);

}  // namespace holt::transfer::methods
