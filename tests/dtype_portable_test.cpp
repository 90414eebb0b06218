// The conversions that dtype.h writes out for compilers without _Float16 (nvcc's host side), in a namespace of their
// own so that they do not meet the library's.
#undef __FLT16_MAX__
#define holt holt_portable
#include "tests/harness/dtype_checks.h"
