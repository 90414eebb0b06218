#include "apps/holt/interrupt.h"

#include <signal.h>
#include <unistd.h>

namespace holt::app {
namespace {

volatile sig_atomic_t noted = 0;
struct sigaction previous_int, previous_term;

void note(int signal) {
  if (noted) _exit(128 + signal);
  noted = signal;
  const char text[] = "\nstopping after this step (again to stop at once)\n";
  const ssize_t ignored = write(STDERR_FILENO, text, sizeof text - 1);
  static_cast<void>(ignored);
}

}  // namespace

Interrupt::Interrupt() {
  noted = 0;
  struct sigaction action {};
  action.sa_handler = note;
  action.sa_flags = SA_RESTART;  // a write in progress is completed
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, &previous_int);
  sigaction(SIGTERM, &action, &previous_term);
}

Interrupt::~Interrupt() {
  sigaction(SIGINT, &previous_int, nullptr);
  sigaction(SIGTERM, &previous_term, nullptr);
}

int Interrupt::signal() const { return noted; }

}  // namespace holt::app
