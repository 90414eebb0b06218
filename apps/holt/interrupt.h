// Ctrl-C, and a polite kill: finish the step, save, then end. The second one ends at once.
#pragma once

namespace holt::app {

/// While it lives, the first SIGINT or SIGTERM is only noted and the second ends the process with code 128 + signal.
class Interrupt {
 public:
  Interrupt();
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  /// The signal that came; 0 if none did.
  int signal() const;
};

}  // namespace holt::app
