# To the release FORMER, or to none.
hold
if [ -n "$FORMER" ] && [ -d "$(release "$FORMER")" ]; then
  use "$FORMER"
else
  systemctl disable --quiet --now "$SERVICE.service" 2>/dev/null || true
  rm -f "$UNITS/$SERVICE.service" "$FOLDER/current"
  rm -rf "$FOLDER/releases"
  systemctl daemon-reload
fi
