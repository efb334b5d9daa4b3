say() { printf '%s=%s\n' "$1" "$2"; }
yes_if() { if "$@" >/dev/null 2>&1; then echo yes; else echo no; fi; }
sum() { cat "$@" 2>/dev/null | sha256sum | cut -d' ' -f1; }

marker=$FOLDER/.nonn-deploy
unit=$UNITS/$SERVICE.service
say made "$(yes_if [ -f "$marker" ])"
if [ ! -f "$marker" ] && [ -e "$FOLDER" ] && [ -n "$(ls -A "$FOLDER")" ]; then say occupied yes; else say occupied no; fi
if [ ! -f "$marker" ] && [ -e "$unit" ]; then say stranger yes; else say stranger no; fi
say account "$(yes_if id -u "$ACCOUNT")"
say own_account "$(yes_if [ -f "$FOLDER/made-account" ])"
say current "$(basename "$(readlink "$FOLDER/current" 2>/dev/null)")"
say started "$(cat "$FOLDER/started" 2>/dev/null || true)"
say version "$(cat "$FOLDER/current/venv/.complete" 2>/dev/null || true)"
say venv_in_use "$(basename "$(readlink "$FOLDER/current/venv" 2>/dev/null)")"
venvs= halves=
for found in "$FOLDER"/venvs/*; do
  if whole "$found"; then venvs="$venvs ${found##*/}"; elif [ -d "$found" ]; then halves="$halves ${found##*/}"; fi
done
for found in "$FOLDER"/incoming.* "$FOLDER"/releases/*.partial; do
  if [ -e "$found" ]; then halves="$halves ${found##*/}"; fi
done
say venvs "${venvs# }"
say halves "${halves# }"
certs=$FOLDER/current/certs
if [ -f "$certs/key.pem" ]; then
  say certificates "$(sum "$certs/ca.pem" "$certs/cert.pem" "$certs/key.pem")"
  say key "$(stat -c '%a %U' "$certs/key.pem")"
else
  say certificates ""; say key ""
fi
if [ -f "$unit" ]; then say unit "$(sum "$unit")"; else say unit ""; fi
say enabled "$(yes_if systemctl is-enabled --quiet "$SERVICE.service")"
say active "$(yes_if systemctl is-active --quiet "$SERVICE.service")"
say state "$(yes_if [ -e "$STATE" ])"
