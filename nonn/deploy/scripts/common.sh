set -eu
umask 022
export LC_ALL=C
unset CDPATH
release() { # ID's folder
  printf '%s/releases/%s' "$FOLDER" "$1"
}
fail() {
  printf 'nonn-problem: %s\n' "$*" >&2
  exit 70
}
hold() { # until this script ends; another deployment would undo what this one does
  command -v flock >/dev/null || return 0
  exec 9>"$FOLDER/.lock"
  flock -n 9 || fail "another nonn deploy is at work on this host: try again when it is done"
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
