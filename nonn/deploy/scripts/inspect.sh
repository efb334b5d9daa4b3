say() { printf '%s=%s\n' "$1" "$2"; }
yes_if() { if "$@" >/dev/null 2>&1; then echo yes; else echo no; fi; }
sum() { cat "$@" 2>/dev/null | sha256sum | cut -d' ' -f1; }

unit=$UNITS/$SERVICE.service
if [ -f "$FOLDER/.nonn-deploy" ]; then made=yes; else made=no; fi
say made $made
# What is there under our names and is not ours, in the units' folder of the system's packages too.
occupied= stranger=no
if [ $made = no ]; then
  for found in "$FOLDER" "$STATE"; do
    if [ -z "$occupied" ] && [ -e "$found" ] && [ -n "$(ls -A "$found")" ]; then occupied=$found; fi
  done
  if [ -e "$unit" ] || systemctl cat "$SERVICE.service" >/dev/null 2>&1; then stranger=yes; fi
fi
say occupied "$occupied"
say stranger $stranger
# Units of deploy's own that run this device from elsewhere: under another service's name, or prefix.
others=
for found in "$UNITS"/*.service; do
  name=${found##*/}
  if [ "$name" = "$SERVICE.service" ]; then
    [ $made = no ] && grep -q '^Description=NoNN device ' "$found" 2>/dev/null || continue
  else
    grep -qFx "Description=NoNN device $NAME" "$found" 2>/dev/null || continue
  fi
  others="$others ${name%.service}"
done
say others "${others# }"
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
