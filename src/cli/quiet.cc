#include "cli/quiet.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>

namespace openllm::cli {

Quiet::Quiet(bool is_wanted) {
  if (!is_wanted) return;
  const int nowhere = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  if (nowhere < 0) return;  // better loud than without a way back
  saved_ = ::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
  if (saved_ >= 0) ::dup2(nowhere, STDERR_FILENO);
  ::close(nowhere);
}

Quiet::~Quiet() {
  if (saved_ < 0) return;
  std::fflush(stderr);
  ::dup2(saved_, STDERR_FILENO);
  ::close(saved_);
}

}  // namespace openllm::cli
