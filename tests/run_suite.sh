#!/usr/bin/env bash
# Runs a test program with every check said, and drops those that held: CAF's framework names a failed check only at the
# level that names them all.
set -o pipefail
# Reports of the sanitizers that are not about our code; programs that a test starts hear of them too.
export UBSAN_OPTIONS="suppressions=$(dirname "$0")/ubsan.supp"
export LSAN_OPTIONS="suppressions=$(dirname "$0")/lsan.supp:print_suppressions=0"
"$@" -n -v 4 2>&1 | grep -av '^\*\* '
exit "${PIPESTATUS[0]}"
