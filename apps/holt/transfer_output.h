// What a study leaves for people: the table on the terminal, and in the folder
//
//   summary.csv  jobs.csv  summary.json  table.md  report.html
#pragma once
#include "transfer/runner.h"

namespace holt::app {

/// Writes the files (each atomically) and prints the table and the report's path. `command` repeats the run.
void write_study(const transfer::Plan& plan, const data::Benchmark& benchmark, const transfer::Outcome& outcome,
                 const std::string& command);

/// The command line of this process, quoted for a shell.
std::string command_line();

}  // namespace holt::app
