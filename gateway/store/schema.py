"""The tables that the processes of the node share, in SQLite or PostgreSQL.

Times are seconds since 1970 in UTC, as float64. No table holds a patient's name, identifier or birth date: those stay
in the DICOM files of the spool. UIDs are in the tables, so the database is patient data all the same.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

VERSION: Final = 3
"""Of the tables. An earlier one is brought up to it at the start (:mod:`.migrate`), a later one refused."""

metadata: Final = sa.MetaData()

_UID: Final = sa.String(64)  # PS3.5 9.1
_AE: Final = sa.String(16)  # PS3.5 6.2

schema_version = sa.Table("candor_schema", metadata, sa.Column("version", sa.Integer, primary_key=True))

instances = sa.Table(
    "instances",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("study_instance_uid", _UID, nullable=False, index=True),
    sa.Column("series_instance_uid", _UID, nullable=False),
    sa.Column("sop_class_uid", _UID, nullable=False),
    sa.Column("sop_instance_uid", _UID, nullable=False, index=True),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("file", sa.String(255), nullable=False, unique=True),  # below the spool
    sa.Column("bytes", sa.Integer, nullable=False),
    sa.Column("received", sa.Double, nullable=False),
    sa.Column("calling_ae_title", _AE, nullable=False),
    sa.Column("called_ae_title", _AE, nullable=False),
    sa.Column("peer", sa.String(64), nullable=False),
    sa.Column("priority", sa.Integer, nullable=False),  # states.Priority
    sa.Column("state", sa.String(16), nullable=False),  # states.InstanceState
    sa.UniqueConstraint("sop_instance_uid", "sha256", name="same_bytes_once"),
)
"""Every instance that was acknowledged, whatever it is; the file is the truth, and a file without a row gets one."""

studies = sa.Table(
    "studies",
    metadata,
    sa.Column("study_instance_uid", _UID, primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),  # 1, 2, ...: a late or corrected image makes the next
    sa.Column("token", sa.String(24), nullable=False, index=True),  # keyed hash of the UID, for logs and URLs
    sa.Column("state", sa.String(16), nullable=False, index=True),  # states.StudyState
    sa.Column("reason", sa.Text, nullable=False, default=""),  # in words; no patient's data
    sa.Column("priority", sa.Integer, nullable=False),
    sa.Column("first_image", sa.Double, nullable=False),
    sa.Column("last_image", sa.Double, nullable=False, index=True),
    sa.Column("queued", sa.Double),
    sa.Column("started", sa.Double),
    sa.Column("assessed", sa.Double),
    sa.Column("finished", sa.Double),  # delivered, stored or failed
    sa.Column("deadline", sa.Double, nullable=False),  # a result must be out by then
    sa.Column("overdue", sa.Double),  # when the deadline was found to be past, and said so
    sa.Column("tries", sa.Integer, nullable=False, default=0),
    sa.Column("jobs", sa.Integer, nullable=False, default=0),  # queued so far: the next job's number
    sa.Column("executor", sa.String(128)),  # whose try it is while RUNNING; leases say whether it lives
    sa.Column("images", sa.Integer, nullable=False, default=0),
    sa.Column("disposition", sa.String(16)),  # candor.study.result.Disposition
    sa.Column("findings", sa.JSON),  # {finding label: decision}
    # The answer for the study (candor.study.result.StudyAnswer); null where there is none.
    sa.Column("worklist_priority", sa.Double),  # 0 to 100
    sa.Column("any_abnormality", sa.String(16)),
    sa.Column("look_first", sa.JSON(none_as_null=True)),  # [finding label]
    sa.Column("bundle_sha256", sa.String(64)),
    sa.Column("results", sa.String(255)),  # folder below the spool
    sa.Column("mode", sa.String(8)),  # states.Mode when it was assessed
    sa.Column("purged", sa.Double),  # when retention let it go: its files are gone, or are about to
    sa.Column("deleted", sa.Double),  # when the last of its files was gone
    # When it got more images than studies.max_images: it is not assessed, and takes all images that follow.
    sa.Column("over_limit", sa.Double),
)
"""One row for each version of a study."""

study_instances = sa.Table(
    "study_instances",
    metadata,
    sa.Column("study_instance_uid", _UID, primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("instance", sa.ForeignKey("instances.id"), primary_key=True),
)
"""Which instances a version of a study was made of."""

rejections = sa.Table(
    "rejections",
    metadata,
    sa.Column("study_instance_uid", _UID, primary_key=True),
    sa.Column("sop_instance_uid", _UID, primary_key=True),
    sa.Column("code", sa.String(16), nullable=False),  # Code Value of the note's title (PS3.16 CID 7010)
    sa.Column("received", sa.Double, nullable=False),
    sa.Column("done", sa.Double, index=True),  # when the results of the image were withdrawn, or there were none
)
"""The images that rejection notes name; the rows stay, since an image may come after its note."""

objects = sa.Table(
    "objects",
    metadata,
    sa.Column("sop_instance_uid", _UID, primary_key=True),
    sa.Column("sop_class_uid", _UID, nullable=False),
    sa.Column("series_instance_uid", _UID, nullable=False),
    sa.Column("study_instance_uid", _UID, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("kind", sa.String(8), nullable=False),  # candor.study.result_object.Kind, or NOTE
    sa.Column("finding", sa.String(32)),
    # The keys of profiles (candor.study.profile.Profile.key); null: in all that take its kind.
    sa.Column("editions", sa.JSON(none_as_null=True), key="profiles"),
    sa.Column("file", sa.String(255), nullable=False),  # below the spool
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("made", sa.Double, nullable=False),
    sa.Index("objects_of_study", "study_instance_uid", "version"),
)
"""Every result object ever made; the rows outlive the files, so that no UID is ever given to other content."""

deliveries = sa.Table(
    "deliveries",
    metadata,
    sa.Column("sop_instance_uid", sa.ForeignKey("objects.sop_instance_uid"), primary_key=True),
    sa.Column("destination", sa.String(64), primary_key=True),
    sa.Column("state", sa.String(16), nullable=False, index=True),  # states.DeliveryState
    sa.Column("tries", sa.Integer, nullable=False, default=0),
    sa.Column("due", sa.Double, nullable=False),
    sa.Column("status", sa.Integer),  # DIMSE status of the last answer
    sa.Column("reason", sa.Text, nullable=False, default=""),
    sa.Column("sent", sa.Double),
    sa.Column("committed", sa.Double),
    sa.Column("since", sa.Double),  # when the first try was made, or the first after a person made it due anew
    sa.Column("transaction_uid", _UID),  # the commitment that was asked for last
    sa.Column(
        "despite_shadow", sa.Integer, nullable=False, default=0, server_default="0"
    ),  # 1: shadow does not hold it
)
"""Each object on its way to each destination that takes it."""

commitments = sa.Table(
    "commitments",
    metadata,
    sa.Column("transaction_uid", _UID, primary_key=True),
    sa.Column("destination", sa.String(64), nullable=False),
    sa.Column("sop_instance_uids", sa.JSON, nullable=False),
    sa.Column("asked", sa.Double, nullable=False),
    sa.Column("answered", sa.Double),
    sa.Column("tries", sa.Integer, nullable=False, default=1),
)
"""Storage commitment: written before the request goes out, since the answer may come on any association."""

destinations = sa.Table(
    "destinations",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("failures", sa.Integer, nullable=False, default=0),  # in a row
    # Associations in a row that were opened and ended without an answer.
    sa.Column("unanswered", sa.Integer, nullable=False, default=0, server_default="0"),
    sa.Column("open_until", sa.Double, nullable=False, default=0.0),  # the circuit breaker lets nothing out until then
    sa.Column("last_success", sa.Double),
    sa.Column("last_failure", sa.Double),
    sa.Column("reason", sa.Text, nullable=False, default=""),
)
"""How each destination is doing."""

leases = sa.Table(
    "leases",
    metadata,
    sa.Column("executor_id", sa.String(128), primary_key=True),
    sa.Column("expires", sa.Double, nullable=False),
)
"""Which job executors are alive, by the database's own clock."""

alarms = sa.Table(
    "alarms",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("kind", sa.String(32), nullable=False),  # gateway.store.alarms.AlarmKind
    sa.Column("subject", sa.String(64), nullable=False),  # a study's token, a destination's name, ""
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("raised", sa.Double, nullable=False),
    sa.Column("cleared", sa.Double),
    sa.Column("told", sa.Double),  # when the webhook took it
    sa.Index("open_alarms", "cleared", "kind"),
)
"""What needs a person; open until it is cleared."""

audit_trail = sa.Table(
    "audit_trail",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("at", sa.Double, nullable=False, index=True),
    sa.Column("who", sa.String(64), nullable=False),
    sa.Column("what", sa.String(32), nullable=False),
    sa.Column("subject", sa.String(64), nullable=False),
    sa.Column("detail", sa.Text, nullable=False, default=""),
)
"""Who did or saw what; nothing deletes from it but its own retention."""

node_state = sa.Table(
    "node_state",
    metadata,
    sa.Column("key", sa.String(32), primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)
"""Facts about the node as a whole: ``mode``, ``foreign_fit``, the token key's fingerprint, the drift baseline."""

users = sa.Table(
    "users",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("password_hash", sa.String(255), nullable=False),  # argon2id
    sa.Column("role", sa.String(16), nullable=False),  # viewer, operator
)

sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("token_sha256", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(64), nullable=False),
    sa.Column("role", sa.String(16), nullable=False),
    sa.Column("expires", sa.Double, nullable=False),
)

counters = sa.Table(
    "counters",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("labels", sa.String(128), primary_key=True),
    sa.Column("value", sa.Double, nullable=False),
)
"""Counters that several processes add to; ``/metrics`` shows them."""
