// holt transfer, once its flags are read.
#pragma once
#include "transfer/runner.h"

namespace holt::app {

struct TransferOptions {
  transfer::Plan plan;
  int64_t workers = 0;  ///< 0: one for each core
  bool plain = false;
};

/// Runs the plan, prints the table, writes the files. Returns the exit code: 1 if a job failed, 128 + signal if it was
/// stopped.
int run_transfer(const TransferOptions& options);

int list_methods();
int list_options(const transfer::Options& options);

}  // namespace holt::app
