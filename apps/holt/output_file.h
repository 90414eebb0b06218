// The one file that a command writes.
#pragma once
#include <string>

namespace holt::app {

/// Before an hour of work, not after it: Error if `out` is a folder, lies in none, is there already (unless
/// `overwrite`), or is `input`, the command's `what` ("model"). `command` begins the message.
void check_output_file(const char* command, const std::string& out, const std::string& input, const char* what,
                       bool overwrite);

}  // namespace holt::app
