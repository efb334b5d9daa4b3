# Standard input: a tar of the release: unit.service, and certs/ where there are certificates.
hold
partial=$(release "$RELEASE").partial
trap 'rm -rf "$partial"' EXIT
rm -rf "$FOLDER"/releases/*.partial
# Nobody reads a key on its way, not even for a moment.
(umask 077 && mkdir -p "$partial" && tar -xf - -C "$partial" --no-same-owner) || fail "the release did not arrive: is the disk full?"
ln -s "../../venvs/$VENV" "$partial/venv"
if [ -d "$partial/certs" ]; then
  chmod 644 "$partial/certs/ca.pem" "$partial/certs/cert.pem"
  chmod 600 "$partial/certs/key.pem"
  chown "$ACCOUNT" "$partial/certs/key.pem"
  chmod 755 "$partial/certs"
fi
chmod 644 "$partial/unit.service"
chmod 755 "$partial" "$FOLDER/releases"
sync
rm -rf "$(release "$RELEASE")"
mv "$partial" "$(release "$RELEASE")"
trap - EXIT
use "$RELEASE"
