set -eu
umask 022
export LC_ALL=C
unset CDPATH
release() { # ID's folder
  printf '%s/releases/%s' "$FOLDER" "$1"
}
# Whether the environment $1 is whole and its interpreter is there: the system may have got another Python since.
whole() {
  [ -f "$1/.complete" ] && "$1/bin/python" -BPc 'import device_node' >/dev/null 2>&1
}
fail() {
  printf 'nonn-problem: %s\n' "$*" >&2
  exit 70
}
# Nobody else deploys until this script ends: each would undo what the other does. $1: seconds to wait for that.
hold() {
  command -v flock >/dev/null || return 0
  exec 9>"$FOLDER/.lock"
  flock -w "${1:-0}" 9 && return 0
  printf 'nonn-problem: another nonn deploy is at work on this host: try again when it is done\n' >&2
  exit 75
}
# From now on, and after every boot, the release $1 is what runs.
use() {
  unit=$UNITS/$SERVICE.service
  ln -s "releases/$1" "$FOLDER/current.new.$$"
  mv -T "$FOLDER/current.new.$$" "$FOLDER/current"
  mkdir -p "$UNITS"
  cp "$(release "$1")/unit.service" "$unit.new"
  sync
  mv "$unit.new" "$unit"
  systemctl daemon-reload
  systemctl enable --quiet "$SERVICE.service" || fail "systemd does not take the unit: see systemctl status $SERVICE"
  systemctl reset-failed "$SERVICE.service" 2>/dev/null || true
  systemctl restart "$SERVICE.service" || fail "the service does not start: see journalctl -u $SERVICE on the host"
}
