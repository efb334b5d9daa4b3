# What runs has proved itself: note that, and take away what it replaces and what was left half done.
hold
if [ -n "$RELEASE" ]; then
  printf '%s' "$RELEASE" >"$FOLDER/started.new"
  mv "$FOLDER/started.new" "$FOLDER/started"
fi
current=$(basename "$(readlink "$FOLDER/current" 2>/dev/null)")
venv=$(basename "$(readlink "$FOLDER/current/venv" 2>/dev/null)")
for found in "$FOLDER"/releases/*; do [ "${found##*/}" = "$current" ] || rm -rf "$found"; done
for found in "$FOLDER"/venvs/*; do [ "${found##*/}" = "$venv" ] || rm -rf "$found"; done
rm -rf "$FOLDER"/incoming.* "$FOLDER"/current.new.*
