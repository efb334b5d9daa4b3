# From RELEASE to the release FORMER, or to none. Whatever else runs was not ours to replace, and is left alone.
# Prints "back" or "kept", and the environment that the host is left with.
hold 60 # the switch that failed may still be waiting for systemd
if [ "$(basename "$(readlink "$FOLDER/current")")" != "$RELEASE" ]; then
  did=kept
elif [ -n "$FORMER" ] && [ -d "$(release "$FORMER")" ]; then
  use "$FORMER"
  did=back
else
  systemctl disable --quiet --now "$SERVICE.service" 2>/dev/null || true
  rm -f "$UNITS/$SERVICE.service" "$FOLDER/current"
  rm -rf "$FOLDER/releases"
  systemctl daemon-reload
  did=back
fi
echo "$did $(basename "$(readlink "$FOLDER/current/venv")")"
