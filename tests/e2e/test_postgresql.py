"""Several machines on one PostgreSQL: a worker that dies for good is replaced by the others, within half a minute."""

from __future__ import annotations

import re
import secrets
from pathlib import Path

import pytest
import sqlalchemy as sa

from benchmarks.node.crash import Node, Pacs, accepts, count, radiographs, send, wait_for
from gateway.store.schema import studies
from gateway.store.states import StudyState
from tests.conftest import ROOT
from tests.gateway.databases import make_template, new_database, server

STUDIES = 40
TAKEN_OVER_S = 30.0


@pytest.mark.full
def test_the_studies_of_a_dead_worker_are_taken_over(tmp_path: Path) -> None:
    with server() as address:
        make_template(address)
        database = new_database(address, f"node_{secrets.token_hex(4)}")
        pacs = Pacs(tmp_path / "pacs")
        node = Node(tmp_path / "node", ROOT / "models", pacs.port, database=database)
        pacs.start()
        node.command("live", "--reason", "a test", "--foreign-fit", "a test")
        node.start("--without", "work")
        workers = [node.another_worker() for _ in range(2)]
        try:
            wait_for(lambda: accepts(node.port) and node.log().count("worker ready") == 2, 90.0, "the node")
            sent = radiographs(STUDIES)
            assert [send(node.port, instance) for instance in sent] == [0] * STUDIES
            wait_for(lambda: len(running(node)) == 2, 60.0, "both workers at work")
            orphan_or_not = running(node)
            workers[0].kill()
            workers[0].wait()
            wait_for(lambda: not orphan_or_not & running(node), TAKEN_OVER_S, "the dead worker's study")
            acknowledged = [str(instance.StudyInstanceUID) for instance in sent]
            wait_for(lambda: count(node, pacs, acknowledged).good, 180.0, "all results")
            assert count(node, pacs, acknowledged).studies_with_results == STUDIES
        finally:
            for worker in workers:
                worker.terminate()
                worker.wait(60)
            assert node.stop() == 0
            pacs.stop()
        assert not re.search(r"CANARY|1\.2\.840", node.log())


def running(node: Node) -> set[str]:
    """Which studies are being assessed."""
    with node.database().connect() as connection:
        wanted = sa.select(studies.c.study_instance_uid).where(studies.c.state == StudyState.RUNNING.value)
        return set(connection.execute(wanted).scalars())
