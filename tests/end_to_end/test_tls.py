"""Real processes over mutual TLS: who gets in, who does not, and what is said to those who do not."""

import contextlib
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from bundle import Bundle
from nonn import Client
from nonn.errors import CertificateError
from tests.authority import LONG_AGO, Certificates
from tests.end_to_end.offline import Offline
from tests.end_to_end.secured import WAIT, SecuredCluster, serving, wait_for_words
from tests.end_to_end.small_bundle import random_images, write_small_bundle

pytestmark = pytest.mark.slow

IMAGES = random_images(3, seed=4)


@pytest.fixture(scope="module")
def cluster(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredCluster]:
    """`kitchen` and `shed`, for tests that leave everything as it is."""
    with kitchen_and_shed(bundle, tmp_path_factory.mktemp("secured")) as cluster:
        yield cluster


@pytest.fixture
def own(bundle: Bundle, tmp_path: Path) -> Iterator[SecuredCluster]:
    """The same for one test alone."""
    with kitchen_and_shed(bundle, tmp_path) as cluster:
        yield cluster


@contextlib.contextmanager
def kitchen_and_shed(bundle: Bundle, folder: Path) -> Iterator[SecuredCluster]:
    with SecuredCluster(bundle, folder) as cluster:
        for name in ("kitchen", "shed"):
            cluster.device(cluster.certificates.device(name))
        cluster.wait_until(serving("kitchen", "shed"))
        yield cluster


def nonn(*arguments: str) -> tuple[int, str]:
    """Exit code and output of a command; its one line of error, when it fails."""
    command = [sys.executable, "-m", "nonn", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        assert (done.stdout, done.stderr.count("\n")) == ("", 1), done.stderr
    return done.returncode, done.stderr or done.stdout


def test_a_device_is_who_its_certificate_says(cluster: SecuredCluster, offline: Offline) -> None:
    answer = cluster.client.predict(IMAGES, deadline=WAIT, strict=True)
    offline.check(answer, IMAGES)
    status = cluster.client.status()
    assert {(one.device_id, one.name) for one in status.devices} == {("kitchen",) * 2, ("shed",) * 2}


def test_the_commands_take_a_folder(cluster: SecuredCluster, tmp_path: Path) -> None:
    laptop = str(cluster.certificates.folder / "clients/laptop")
    code, out = nonn("status", "--aggregator", cluster.address, "--tls", laptop, "--json")
    assert (code, len(json.loads(out)["devices"])) == (0, 2)
    port = cluster.address.rpartition(":")[2]
    assert nonn("status", "--aggregator", f"localhost:{port}", "--tls", laptop, "--json")[0] == 0


def test_roles_end_where_they_end(cluster: SecuredCluster, bundle: Bundle) -> None:
    folders = {name: str(cluster.certificates.folder / name) for name in ("clients/laptop", "devices/shed")}
    where = ["--aggregator", cluster.address, "--tls"]
    code, said = nonn("reload", str(bundle.path), *where, folders["clients/laptop"])
    assert (code, "laptop has a client's certificate, and this takes an operator's" in said) == (15, True)
    code, said = nonn("device", *where, folders["clients/laptop"], "--state", str(cluster.folder / "x"))
    assert (code, "of role client, and this takes that of device" in said) == (15, True)
    with Client(cluster.address, tls=folders["devices/shed"]) as client:
        assert client.status().devices
        with pytest.raises(CertificateError, match="a client's or an operator's"):
            client.predict(IMAGES)


def test_strangers_are_told_what_is_wrong(cluster: SecuredCluster, tmp_path: Path) -> None:
    where = ["--aggregator", cluster.address]
    code, said = nonn("status", *where)
    assert (code, "wants TLS" in said) == (15, True)
    others = Certificates(tmp_path / "others", born=LONG_AGO)
    code, said = nonn("status", *where, "--tls", str(others.client("laptop")))
    assert (code, "not of the authority of" in said) == (15, True)
    code, said = nonn("status", *where, "--tls", str(others.client("old", issued=LONG_AGO)))
    assert (code, "expired on" in said) == (15, True)
    mixed = others.client("mixed")
    shutil.copyfile(cluster.certificates.folder / "aggregator/ca.pem", mixed / "ca.pem")
    code, said = nonn("status", *where, "--tls", str(mixed))
    assert (code, "not of the authority of ca.pem" in said) == (15, True)
    code, said = nonn("status", *where, "--tls", str(tmp_path / "nowhere"))
    assert (code, "is missing" in said) == (15, True)


def test_a_device_of_another_authority_says_why_once_and_goes_on_trying(
    cluster: SecuredCluster, tmp_path: Path
) -> None:
    stranger = cluster.device(Certificates(tmp_path / "others").device("stranger"), "--give-up", "4")
    assert stranger.wait(WAIT) == 15
    output = stranger.output()
    assert output.count("trying again") == 1, output
    assert "not of the authority of" in wait_for_words(stranger, "trying again")
    assert output.splitlines()[-1].startswith("nonn: gave up after 4 s")
    assert "stranger" not in {device.device_id for device in cluster.client.status(WAIT).devices}


def test_a_device_that_is_revoked_is_cut_off_and_let_in_again_with_another_certificate(
    own: SecuredCluster, offline: Offline
) -> None:
    kitchen, *_ = own.devices
    said = "the certificate of kitchen has been revoked"
    before = kitchen.output().count(said)  # it may have come before the list was read
    own.certificates.revoke("kitchen")
    own.wait_until(serving("shed"))
    assert "revoked" in wait_for_words(kitchen, "lost the aggregator")
    own.wait_until(lambda _: kitchen.output().count(said) > before)
    offline.check(own.client.predict(IMAGES, deadline=WAIT), IMAGES)
    own.certificates.device("kitchen")  # issued again, into the same folder
    own.wait_until(serving("kitchen", "shed"))
    lines = [line[len("00:00:00 ") :] for line in kitchen.output().splitlines()]
    assert not [line for line, following in pairwise(lines) if line == following]  # it was said once


def test_a_client_that_is_revoked_is_refused_on_its_open_connection(own: SecuredCluster) -> None:
    with Client(own.address, tls=own.certificates.client("visitor")) as client:
        own.wait_until(lambda _: not refused(client))
        own.certificates.revoke("visitor")
        own.wait_until(lambda _: "revoked" in refused(client))


def refused(client: Client) -> str:
    """Why the client is refused; empty when it is not."""
    try:
        client.status(WAIT)
    except CertificateError as error:
        return str(error)
    return ""


def test_a_device_that_starts_again_elsewhere_replaces_its_old_self(
    own: SecuredCluster, offline: Offline
) -> None:
    former, *_ = own.devices
    former.send(signal.SIGSTOP)
    own.wait_until(lambda status: "suspect" in {device.state for device in status.devices})
    again = own.device(own.certificates.folder / "devices/kitchen", name="kitchen-again")
    wait_for_words(again, "joined")
    own.wait_until(serving("kitchen", "shed"))
    offline.check(own.client.predict(IMAGES, deadline=WAIT, strict=True), IMAGES)


def test_the_aggregators_certificate_is_renewed_without_a_restart(own: SecuredCluster) -> None:
    own.certificates.aggregator(hosts=["hub.example"])
    wait_for_words(own.aggregator, "the aggregator's certificate is valid until")
    with Client(own.address, tls=own.certificates.folder / "clients/laptop") as client:
        assert serving("kitchen", "shed")(client.status(WAIT))


def test_an_operator_changes_the_bundle(own: SecuredCluster, tmp_path: Path) -> None:
    other = write_small_bundle(tmp_path / "other", seed=1)
    with Client(own.address, tls=own.certificates.operator("boss")) as operator:
        own.wait_until(lambda _: not refused(operator))
        assert operator.reload(other.path).devices == 2
        Offline(other).check(operator.predict(IMAGES, deadline=WAIT, strict=True), IMAGES)
