# shellcheck shell=bash disable=SC2034
# Shared by the scripts beside it; read with `source`. Needs bash 5.

# The project's folder, whatever the caller's working directory.
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
program="$(basename "$0")"

# Everything that is not a result goes to standard error.
say() { printf '%s: %s\n' "$program" "$*" >&2; }
die() {
  printf '%s: error: %s\n' "$program" "$*" >&2
  exit 1
}

# step N OF WHAT: what is being done and how far we are.
step() { printf '%s: [%d/%d] %s\n' "$program" "$1" "$2" "$3" >&2; }

# as_root COMMAND...: the command itself for root, by sudo for others.
as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif command -v sudo >/dev/null 2>&1; then
    sudo "$@"
  else
    die "installing packages needs root or sudo (run 'scripts/setup' as root once)"
  fi
}

# Processors this process may use.
n_jobs() { nproc 2>/dev/null || echo 1; }
