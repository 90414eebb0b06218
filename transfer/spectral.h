// Functions of a symmetric matrix's eigenvalues, for measures of rank.
#pragma once
#include <functional>
#include <utility>
#include <vector>

#include "core/tensor.h"

namespace holt::transfer {

/// Σ_i f(λ_i) over the eigenvalues of the symmetric positive semidefinite k [n,n] f32, as an f32 scalar;
/// d/dk = V·diag(f′(λ))·Vᵀ. `f` gives the pair (f(λ), f′(λ)) for λ ≥ 0. Computed in double on the host by cyclic Jacobi
/// rotations: meant for n of a few hundred.
Tensor spectral_sum(const Tensor& k, std::function<std::pair<double, double>(double)> f);

/// Eigenvalues of the symmetric a [n,n] (row-major), and in `vectors` the eigenvectors as columns [n,n].
std::vector<double> eigenvalues(std::vector<double> a, int64_t n, std::vector<double>& vectors);

}  // namespace holt::transfer
