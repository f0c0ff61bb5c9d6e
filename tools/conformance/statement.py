"""The text of the conformance statement around its tables, in the order of PS3.2."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Final

from candor import RESEARCH_USE
from candor.dicom.read.frame import MAXIMUM_PIXELS
from candor.study.findings import PRIVATE_SCHEME
from gateway.deliver.commitment_request import _AT_ONCE as MOST_COMMITTED
from gateway.deliver.commitment_request import _PATIENCE_S as COMMITMENT_PATIENCE_S
from tools.conformance import coding, content, network, objects, statuses


def page() -> str:
    """Return the whole statement."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # pydicom's and highdicom's words on attributes that are empty
        return "\n".join(section() for section in SECTIONS)


def overview() -> str:
    """Return section 1: overview, and the SOP classes with their roles."""
    return f"""# DICOM conformance statement

{RESEARCH_USE}.

This page follows DICOM PS3.2. Its tables are written by `python -m tools.make_conformance`: what is negotiated and
answered is read from the node's code, what stands in objects is read from objects of every kind that are built for
it. Tests compare the page with a running node.

## 1 Overview

Candor receives images over the network, assesses frontal chest radiographs among them, and sends the results to
archives. It provides Verification and Storage, and uses Verification, Storage and Storage Commitment. It does not
query or retrieve, has no worklist, prints nothing and writes no media.

{network.sop_classes()}
Every storage class is accepted, so that a modality or router may send whole studies: those of PS3.4, the retired
ones too, and the private ones of the setting `receive.private_classes`. Images of {network.image_classes()} classes
become part of a study: radiographs, and secondary captures, which are answered with a report that says why they are not
assessed. Anything else is acknowledged and counted, and dropped as it comes, or kept for reference by the setting
`receive.other_objects`. Candor's own results, which an archive that routes by study sends back, are acknowledged and
never assessed. Rejection notes (Key Object Selection with a title of rejection, IHE IOCM) withdraw the results of the
images that they name.
"""


def introduction() -> str:
    """Return sections 2 and 3: contents and terms."""
    return """## 2 Contents

1 Overview, 3 Introduction, 4 Networking, 5 Media interchange, 6 Character sets, 7 Security, 8 Annexes: objects,
codes and templates, grey scale, extensions.

## 3 Introduction

For whoever connects a modality or an archive to the node ([how](../how-to/connect-a-pacs.md)). A conformance
statement alone does not ensure that two systems work together; test it. What is said of IHE stands in
[ihe.md](ihe.md), what the results mean in [results.md](results.md).

| word | meaning |
| --- | --- |
| AE, SCU, SCP, PDU | application entity, service class user and provider, protocol data unit (PS3.8) |
| profile | what one destination takes of a study's results, and in which form |
| dead letter | an object that a destination will not take; a person is told |
"""


def networking() -> str:
    """Return section 4: application entities, their associations, contexts and statuses, and the settings."""
    return f"""## 4 Networking

### 4.1 Implementation model

Two application entities, each a process of its own that shares nothing with the others but the database and the
spool.

| application entity | process | does |
| --- | --- | --- |
| receiver | `receive` | takes C-ECHO and C-STORE, and the N-EVENT-REPORT of storage commitment |
| sender | `deliver`, and the verbs `echo`, `send`, `resend` and `recall` | sends results, asks for storage commitment |

A study that has been quiet for `studies.quiet_s` becomes a job; its results are queued for every destination that
takes them. Nothing that was acknowledged is lost, whatever process dies.

### 4.2 Specifications of the application entities

#### 4.2.1 Association policies

{network.policies()}
A PDU longer than was negotiated, or one that does not come within the time-out, ends the connection, and so does a
peer that sends message after message without waiting for answers.

The receiver rejects an association as follows (PS3.8 9.3.4), and closes a connection from an address that no caller
may use before it reads a byte:

{network.rejections()}
#### 4.2.2 Receiver: presentation contexts accepted

Of several transfer syntaxes in one context, the first of the node's own list is taken, in the order of the table.
Whatever else is proposed is refused (abstract syntax or transfer syntaxes not supported), and so never acknowledged.
Storage commitment is accepted with role selection, which a peer that reports needs (PS3.4 J.3.3), and without; a
request for it (N-ACTION) is answered with `0x0110`, processing failure: the node commits to nothing.

{network.accepted_contexts()}
Every compressed transfer syntax of this table can be decoded. Deflated Explicit VR Little Endian is not among them:
a few bytes of it can hold gigabytes.

#### 4.2.3 Receiver: Verification

{statuses.answered_to("C-ECHO")}
#### 4.2.4 Receiver: Storage

Level 2 (full): all attributes are kept, byte for byte as they came. Nothing is coerced. The same bytes again are
acknowledged and change nothing; other bytes under the same SOP Instance UID are kept beside the first, and are a
correction, or are put into quarantine where the pixels differ. Where another study has other pixels under it (PS3.5
9.1), both are put into quarantine. Images are kept for `keep.results_d` days.

{statuses.answered_to_a_store()}
A refusal carries its reason in Error Comment (0000,0902). The Priority of the request (0000,0700) is followed: HIGH
overtakes, LOW waits, unless `receive.callers` says otherwise.

#### 4.2.5 Sender: presentation contexts proposed

Results are written in {network.own_syntax()}. Each SOP class that is due is proposed in the transfer
syntax of its file, and in a context of its own in DICOM's default one; the file's own is preferred.

{network.proposed_contexts()}
`send FOLDER` proposes the SOP classes and transfer syntaxes of the files in that folder.

#### 4.2.6 Sender: Storage

All of a study that is due at a destination goes over one association: the report first, then key objects, outlines,
overlays and heatmaps, last a rejection note. After an object that ends the association the others go over a new one.
Each object has its own row, and each answer its own consequence:

{statuses.understood()}
A context that is refused with result 1 or 2 (PS3.8 9.3.3.2) is tried again; one that is refused with 3 or 4, for an
abstract or transfer syntax that is not supported, is permanent. A destination that cannot be connected to is tried
again, and after `deliver.breaker_failures` failures in a row left alone for `deliver.breaker_s`.

#### 4.2.7 Storage Commitment

As SCU of the Push Model, for destinations with `commitment: true`: an N-ACTION (action type 1) for what is stored,
at most {MOST_COMMITTED} instances in one transaction, whose Transaction UID is in the database before it is sent.
The report (N-EVENT-REPORT, event types 1 and 2) is taken on the same association, which is kept open for
{COMMITMENT_PATIENCE_S:g} seconds, or on a new one to the receiver. What is committed to counts as safe; what is not
mentioned is asked for again after `deliver.commitment_timeout_s`, under a new Transaction UID. Any answer to the
N-ACTION but success is noted with the destination, and the request is made again after that time.

What a report calls failed:

{statuses.failure_reasons()}
Answers to the report:

{statuses.answered_to("N-EVENT-REPORT")}
#### 4.2.8 Sender: Verification

By the verb `echo`, to one destination or all. Any status but success counts as no answer.

### 4.3 Network interfaces

TCP over IPv4 or IPv6, and TLS over it (section 7). One port for DICOM, `receive.port`.

### 4.4 Configuration

All in `gateway.yaml`; defaults and meaning in [gateway-settings.md](gateway-settings.md).

{network.settings()}"""


def media_and_text() -> str:
    """Return sections 5 and 6."""
    return f"""## 5 Media interchange

None. The application reads Part 10 files from a folder and writes Part 10 files into one; no DICOMDIR.

## 6 Support of character sets

A result has the Specific Character Set (0008,0005) of its source, so that names keep their bytes; ISO_IR 100 where
the source declares none, and ISO_IR 192 where its declaration is not valid or does not hold its text.

{network.character_sets()}
Text of Candor's own is in English or, by the setting `language`, in German. Letters that the set cannot hold are
written with those of ASCII.
"""


def security() -> str:
    """Return section 7."""
    return """## 7 Security

| profile | support |
| --- | --- |
| BCP 195 TLS connections (PS3.15 B.9, B.10) | by `receive.tls` and `destinations.tls`; TLS 1.2 or later |
| cipher suites | those of the system's OpenSSL |
| certificates on both sides | always where there is TLS; a caller's may be pinned (`certificate_sha256`) |
| callers by AE title, address and certificate | yes, by `receive.callers` |
| user identity negotiation (PS3.7 D.3.3.7) | no |
| audit trail (PS3.15 A.5) | no audit messages are sent; acts of users and recalls are in the node's own audit trail |
| de-identification, digital signatures | no |

No line of the logs holds a patient's data.
"""


def annexes() -> str:
    """Return section 8: objects, codes and templates, grey scale, extensions."""
    return f"""## 8 Annexes

### 8.1 Objects

#### 8.1.1 What is read

Frontal chest radiographs: DX For Presentation and CR, one frame, MONOCHROME1 or MONOCHROME2, 8 or 16 bits
allocated, at most {MAXIMUM_PIXELS // 1_000_000} megapixels. Whatever else comes gets a report with one of the
refusals of section 8.3.1.

#### 8.1.2 What is written

Read from objects that were made of synthetic sources: filled ones, terse ones and bare ones. Types and modules are
those of PS3.3 as highdicom's tables have them; a nested attribute without a type belongs to a macro that those
tables leave out. A coded entry stands on one line, and consists of Code Value (0008,0100), Coding Scheme Designator
(0008,0102) and Code Meaning (0008,0104). Content items of all levels stand on one level; section 8.3.3 has their
tree. There are no private attributes.

| presence | meaning | source | meaning |
| --- | --- | --- | --- |
| ALWAYS | there, with a value | FIXED | always this value |
| VNAP | there, empty where there is no value | COPY | from the image |
| ANAP | left out where there is no value | CONFIG | from the settings |
| EMPTY | there, without a value | AUTO | made by Candor |

{objects.objects_annex()}
### 8.2 Data dictionary of private attributes

None.

### 8.3 Coded terminology and templates

#### 8.3.1 Coding scheme {PRIVATE_SCHEME}

{coding.private_codes()}
#### 8.3.2 Other codes

{coding.public_codes()}
The findings:

{coding.finding_codes()}
#### 8.3.3 Templates

How many of a content item there are, of what value, and which row of PS3.16 it fills, as far as the check of
templates (`candor/dicom/check/template_rows.py`) asks for it.

Reports, TID 1500:

{content.content_table(made.dataset for made in objects.of_kind("sr"))}
Key objects and rejection notes, TID 2010:

{content.content_table(made.dataset for made in objects.of_kind("ko"))}
### 8.4 Grey scale

Candor displays nothing. A presentation state carries the grey scale that its image is shown with first, with a Modality
LUT joined into the VOI LUT, and a Presentation LUT Shape of INVERSE for MONOCHROME1. Heatmap values in a parametric
map are in units of the logit.

### 8.5 Extensions

No standard extended, specialized or private SOP classes, and no private transfer syntaxes.
"""


SECTIONS: Final[tuple[Callable[[], str], ...]] = (
    overview,
    introduction,
    networking,
    media_and_text,
    security,
    annexes,
)
