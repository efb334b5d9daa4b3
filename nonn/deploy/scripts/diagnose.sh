# Why the service is not ready: what it last said.
systemctl is-active "$SERVICE.service" || true
journalctl --unit "$SERVICE.service" --lines 40 --output cat --no-pager 2>/dev/null || true
