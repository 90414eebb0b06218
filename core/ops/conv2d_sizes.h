// What the ops that convolve tell the kernels.
#pragma once
#include "core/ops.h"
#include "kernels/conv2d.h"

namespace holt {

/// x [N, H, W, Cin] by w [Cout, KH, KW, Cin/groups], unchecked.
inline Conv2d conv2d_sizes(const Tensor& x, const Tensor& w, const Conv2dOptions& o) {
  return {.n = x.size(0),
          .h = x.size(1),
          .w = x.size(2),
          .cin = x.size(3),
          .cout = w.size(0),
          .kh = w.size(1),
          .kw = w.size(2),
          .stride_h = o.stride,
          .stride_w = o.stride,
          .pad_h = o.padding,
          .pad_w = o.padding,
          .dilation_h = o.dilation,
          .dilation_w = o.dilation,
          .groups = o.groups};
}

}  // namespace holt
