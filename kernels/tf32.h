// TF32: f32 operands rounded to 10 bits of mantissa, multiplied exactly and summed in float on tensor cores; eight
// times the arithmetic of f32 on an A100, at 2⁻¹¹ relative error an operand instead of 2⁻²⁴.
//
// f32 means f32 unless someone says otherwise: HOLT_TF32=1 for a process, allow_tf32() for a program. It concerns
// products and convolutions of f32 by the vendor's libraries on cuda; nothing else changes.
#pragma once

namespace holt {

/// Whether the vendor's libraries may round f32 operands to TF32. Throws Error if HOLT_TF32 is neither "0" nor "1".
bool tf32_allowed();
/// From now on, in all threads.
void allow_tf32(bool);

}  // namespace holt
