# Everything that deploy made; the marker last, so that a removal that was cut short can be finished.
if [ -f "$FOLDER/.nonn-deploy" ]; then
  hold
  systemctl disable --quiet --now "$SERVICE.service" 2>/dev/null || true
  systemctl stop "$SERVICE.service" 2>/dev/null || true
  rm -f "$UNITS/$SERVICE.service" "$UNITS/$SERVICE.service.new"
  systemctl daemon-reload
  systemctl reset-failed "$SERVICE.service" 2>/dev/null || true
  rm -rf "$STATE"
  if [ -f "$FOLDER/made-account" ] && id -u "$ACCOUNT" >/dev/null 2>&1; then
    userdel "$ACCOUNT" || fail "cannot remove the user $ACCOUNT: see what userdel says on the host"
  fi
  for found in venvs releases current started made-account; do rm -rf "$FOLDER/$found"; done
  rm -rf "$FOLDER"/incoming.* "$FOLDER"/current.new.* "$FOLDER"/started.new
  rm -f "$FOLDER/.lock" "$FOLDER/.nonn-deploy"
  rmdir "$FOLDER" || fail "$FOLDER holds something that deploy did not put there: look at it"
fi
