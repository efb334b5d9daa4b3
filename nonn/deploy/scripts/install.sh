# Standard input: a tar with wheels/, the wheel of nonn named in WHEEL among them, and maybe constraints.txt, and
# index: the package index, which may hold a password and hence is on no command line.
if [ ! -f "$FOLDER/.nonn-deploy" ]; then
  mkdir -p "$FOLDER"
  [ -z "$(ls -A "$FOLDER")" ] || fail "$FOLDER holds something else: name another prefix"
  : >"$FOLDER/.nonn-deploy"
fi
hold
if ! id -u "$ACCOUNT" >/dev/null 2>&1; then
  # Before the account is, so that it is taken away even if we end in between.
  : >"$FOLDER/made-account"
  useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin "$ACCOUNT" ||
    fail "cannot make the user $ACCOUNT: see what useradd says on the host"
fi
venv=$FOLDER/venvs/$VENV
if whole "$venv"; then exit 0; fi
rm -rf "$FOLDER"/incoming.* "$venv"
incoming=$FOLDER/incoming.$$
undo() { rm -rf "$incoming" "$venv"; }
trap undo EXIT
trap 'exit 70' HUP INT TERM PIPE
explain() { # what the log of a failed step says, in one line
  if grep -qi 'no space left' "$incoming/log"; then
    fail "no space left on $FOLDER while installing: free some, or name a prefix on another disk"
  fi
  fail "$1: $(grep -v '^ *$' "$incoming/log" | grep -i 'error' | tail -n 1 | cut -c1-200)"
}
mkdir -p "$incoming" "$FOLDER/venvs"
tar -xf - -C "$incoming" >"$incoming/log" 2>&1 || explain "the files did not arrive"
"$PYTHON" -m venv "$venv" >>"$incoming/log" 2>&1 || explain "cannot make a virtual environment"
set -- --no-cache-dir --no-input --disable-pip-version-check --only-binary :all:
[ "$OFFLINE" = no ] || set -- "$@" --no-index --find-links "$incoming/wheels"
if [ -f "$incoming/index" ]; then export PIP_INDEX_URL="$(cat "$incoming/index")"; fi
[ ! -f "$incoming/constraints.txt" ] || set -- "$@" -c "$incoming/constraints.txt"
# Its temporary files may be larger than /tmp, which on a board is memory.
TMPDIR=$incoming "$venv/bin/python" -m pip install "$@" "$incoming/wheels/$WHEEL" >>"$incoming/log" 2>&1 ||
  explain "pip could not install nonn"
"$venv/bin/python" -c 'import grpc, numpy, onnxruntime, device_node' >>"$incoming/log" 2>&1 || {
  code=$?
  [ $code -le 128 ] || fail "ONNX Runtime does not run on this processor (signal $((code - 128))): name another version of it in constraints"
  explain "what was installed does not load"
}
printf '%s' "$VERSION" >"$venv/.complete.new"
sync
mv "$venv/.complete.new" "$venv/.complete"
trap - EXIT
rm -rf "$incoming"
