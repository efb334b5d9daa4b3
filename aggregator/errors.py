"""What can go wrong while the aggregator starts."""

from bundle import NonnError


class ListenError(NonnError):
    """The address cannot be listened on: in use, not ours, or not an address."""

    exit_code = 9


class SettingsError(NonnError):
    """A setting that makes no sense, or an open port that was not asked for aloud."""

    exit_code = 2


class CertificateError(NonnError):
    """The folder of the aggregator's certificate, or its list of certificates, cannot be used."""

    exit_code = 15
