say() { printf '%s=%s\n' "$1" "$2"; }
yes_if() { if "$@" >/dev/null 2>&1; then echo yes; else echo no; fi; }
# The closest folder that is there already.
above() { d=$1; while [ ! -d "$d" ]; do d=$(dirname "$d"); done; printf '%s' "$d"; }
may_write() { [ -w "$(above "$FOLDER")" ] && [ -w "$(above "$UNITS")" ]; }
as_root() { if [ "$SUDO" = yes ] && [ "$(id -u)" != 0 ]; then sudo -n "$@"; else "$@"; fi; }
able() {
  if [ "$(id -u)" = 0 ]; then return 0; fi
  if [ "$SUDO" = yes ]; then sudo -n true; else may_write; fi
}

echo nonn-facts
say clock "$(date +%s)"
say machine "$(uname -m)"
# The interpreter decides: a 64-bit kernel may run a 32-bit system.
about='import os, platform, struct, sys
print(platform.python_version(), struct.calcsize("P") * 8, platform.libc_ver()[0] or "other")
print(os.path.realpath(sys.base_prefix))'
if found=$("$PYTHON" -c "$about" 2>/dev/null); then
  say home "$(echo "$found" | sed -n 2p)"
  set -- $found
  say python "$1"; say bits "$2"; say libc "$3"
else
  say home ""
  say python ""; say bits "$(getconf LONG_BIT 2>/dev/null || echo 0)"; say libc glibc
fi
say venv "$(yes_if "$PYTHON" -c 'import venv, ensurepip')"
say free "$(df -Pk "$(above "$FOLDER")" | awk 'NR == 2 { print int($4 / 1024) }')"
if [ -d "$ROOT/run/systemd/system" ] && command -v systemctl >/dev/null; then say systemd yes; else say systemd no; fi
if able >/dev/null 2>&1; then
  say root yes
  as_root sh -c "$INSPECT"
else
  say root no
  sh -c "$INSPECT"
fi
echo nonn-end
