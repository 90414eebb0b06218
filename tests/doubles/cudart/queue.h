// Whether this thread is running queued work.
#pragma once

namespace holt_double {

bool& inside_work();

}  // namespace holt_double
